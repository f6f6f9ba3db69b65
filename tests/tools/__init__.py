"""Helpers of the tests that run the real program: raw client, load, mail reader, file systems to break."""

import pytest

for _module in ("arrived", "audit", "load", "ordeal", "reader", "site", "wire"):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")
