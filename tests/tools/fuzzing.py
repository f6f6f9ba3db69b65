"""How the fuzz targets run: a few examples, the same each time, in an ordinary run; FASTSMTP_FUZZ=N runs N new ones
a target."""

import os

from hypothesis import HealthCheck, settings

_ASKED = os.environ.get("FASTSMTP_FUZZ")

fuzzed = settings(
    max_examples=int(_ASKED or "400"),
    derandomize=_ASKED is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
