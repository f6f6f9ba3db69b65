"""How the fuzz targets run: a few examples, the same each time, in an ordinary run; FASTSMTP_FUZZ=N runs N new ones
a target. ``usual`` is for all other tests with examples: the same each time too, and no clock decides."""

import os

from hypothesis import HealthCheck, settings

_ASKED = os.environ.get("FASTSMTP_FUZZ")

usual = settings(derandomize=_ASKED is None, deadline=None, suppress_health_check=list(HealthCheck))
fuzzed = settings(usual, max_examples=int(_ASKED or "400"))
