"""The records that a domain publishes."""

import subprocess
from pathlib import Path

from fastsmtp.process.dns_records import records, reverse_records, sts_records, tlsa_record
from fastsmtp.tls.selfsigned import self_signed
from tests.conftest import require_program


def test_records() -> None:
    lines = records("example.org", "mx.example.org", ["192.0.2.1", "2001:db8::1"])
    assert [line.split(None, 2) for line in lines][:5] == [
        ["example.org.", "MX", "10 mx.example.org."],
        ["mx.example.org.", "A", "192.0.2.1"],
        ["mx.example.org.", "AAAA", "2001:db8::1"],
        ["example.org.", "TXT", '"v=spf1 mx -all"'],
        ["_dmarc.example.org.", "TXT", '"v=DMARC1; p=none; rua=mailto:postmaster@example.org"'],
    ]


def test_an_address_that_is_not_known_is_no_record() -> None:
    (line,) = (line for line in records("example.org", "mx.example.org", []) if " A " in line)
    assert line.startswith(";")


def test_names_of_addresses() -> None:
    assert reverse_records("mx.example.org", ["192.0.2.1"]) == [
        "1.2.0.192.in-addr.arpa.  PTR   mx.example.org."
    ]


def test_tlsa_is_what_openssl_makes_of_the_key(tmp_path: Path) -> None:
    cert, key = self_signed(["mx.example.org"], tmp_path)
    openssl = require_program("openssl")
    public = subprocess.run(
        [openssl, "pkey", "-in", str(key), "-pubout", "-outform", "DER"], capture_output=True, check=True
    )
    digest = subprocess.run(
        [openssl, "dgst", "-sha256", "-r"], input=public.stdout, capture_output=True, check=True
    )
    assert tlsa_record("mx.example.org", cert) == [
        f"_25._tcp.mx.example.org.  TLSA  3 1 1 {digest.stdout.split()[0].decode()}"
    ]


def test_sts_names_the_host() -> None:
    lines = sts_records("example.org", "mx.example.org")
    assert lines[0] == '_mta-sts.example.org.  TXT   "v=STSv1; id=1"'
    assert "; mx: mx.example.org" in lines
