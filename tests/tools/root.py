"""Tests that need root's rights. `.ci/run` is root, and fails when one of them is skipped."""

import os

import pytest

root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user, or give files away"
)
