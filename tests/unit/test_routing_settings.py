"""Networks in [relay] are checked where they are declared."""

import pytest

from fastsmtp.routing.settings import CredentialSettings, ForwardingSettings, RelaySettings, RouteSettings


def test_good() -> None:
    assert RelaySettings(networks=("10.0.0.0/8", "::1")).networks == ("10.0.0.0/8", "::1")


def test_bad() -> None:
    with pytest.raises(ValueError, match=r'^networks\[1\]: expected a network such as .* got "x"$'):
        RelaySettings(networks=("::1", "x"))


def test_bad_relay_domain() -> None:
    with pytest.raises(ValueError, match=r'^domains\[1\]: expected a domain such as .* got "\*"$'):
        RelaySettings(domains=("*.corp.test", "*"))


def test_routes() -> None:
    assert RouteSettings(match="far.test", to=("mx",)).tls is None
    with pytest.raises(ValueError, match=r"^match: expected "):
        RouteSettings(match="@", to=("mx",))
    with pytest.raises(ValueError, match=r"^to\[1\]: expected "):
        RouteSettings(match="*", to=("mx", "h"))


def test_credentials_have_one_password() -> None:
    for more in ({}, {"password": "p", "password_file": "f"}):
        with pytest.raises(ValueError, match=r"^password_file: expected either"):
            CredentialSettings(user="u", **more)


def test_srs_domain() -> None:
    with pytest.raises(ValueError, match=r"^srs_domain: expected a host name"):
        ForwardingSettings(srs_domain="not a domain")


def test_paths_without_nul() -> None:
    with pytest.raises(ValueError, match=r"^recipients: expected a path"):
        RelaySettings(domains=("corp.test",), recipients="a\0b")
    with pytest.raises(ValueError, match=r"^password_file: expected a path"):
        CredentialSettings(user="u", password_file="a\0b")
