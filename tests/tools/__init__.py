"""Helpers of the tests that run the real program: raw client, load, mail reader, file systems to break."""

import pytest

pytest.register_assert_rewrite(__name__)
