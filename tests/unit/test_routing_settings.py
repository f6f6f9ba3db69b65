"""Networks in [relay] are checked where they are declared."""

import pytest

from fastsmtp.routing.settings import RelaySettings


def test_good() -> None:
    assert RelaySettings(networks=("10.0.0.0/8", "::1")).networks == ("10.0.0.0/8", "::1")


def test_bad() -> None:
    with pytest.raises(ValueError, match=r'^networks\[1\]: expected a network such as .* got "x"$'):
        RelaySettings(networks=("::1", "x"))
