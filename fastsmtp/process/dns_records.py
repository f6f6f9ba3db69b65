"""The DNS records that a mail server's domain needs, as they stand in a zone file."""

from collections.abc import Sequence
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def records(domain: str, hostname: str, addresses: Sequence[str]) -> list[str]:
    """Where mail for ``domain`` goes, and who sends mail of it (RFC 7208): all that works before DKIM signs. Where no
    address is known a comment stands in its place."""
    host = f"{hostname}."
    rows = [(f"{domain}.", "MX", f"10 {host}")]
    for address in map(ip_address, addresses):
        rows.append((host, "A" if address.version == 4 else "AAAA", str(address)))
    if not addresses:
        rows.append((f"; {host}", "A", "the address of this machine; AAAA when it has one of IPv6"))
    rows += [
        (f"{domain}.", "TXT", '"v=spf1 mx -all"'),
        # Without DKIM a forwarded mail passes nothing: it is only reported.
        (f"_dmarc.{domain}.", "TXT", f'"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"'),
        (f"_submissions._tcp.{domain}.", "SRV", f"0 1 465 {host}"),
        (f"_submission._tcp.{domain}.", "SRV", f"5 1 587 {host}"),
    ]
    return table(rows)


def reverse_records(hostname: str, addresses: Sequence[str]) -> list[str]:
    """The names of the addresses, which whoever owns these has to publish."""
    return table([(f"{ip_address(one).reverse_pointer}.", "PTR", f"{hostname}.") for one in addresses])


def tlsa_record(hostname: str, cert: Path) -> list[str]:
    """The key of the certificate in the file ``cert`` (RFC 6698 §2.1, 3 1 1); only good in a signed zone."""
    key = x509.load_pem_x509_certificates(cert.read_bytes())[0].public_key()
    digest = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    return table([(f"_25._tcp.{hostname}.", "TLSA", f"3 1 1 {digest}")])


def sts_records(domain: str, hostname: str) -> list[str]:
    """MTA-STS (RFC 8461): a record, and as comments the file that a web server has to give."""
    return [
        *table([(f"_mta-sts.{domain}.", "TXT", '"v=STSv1; id=1"')]),
        f"; https://mta-sts.{domain}/.well-known/mta-sts.txt, lines end with CRLF:",
        "; version: STSv1",
        "; mode: testing",
        f"; mx: {hostname}",
        "; max_age: 86400",
    ]


def table(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """Rows in columns."""
    width = max((len(name) for name, _, _ in rows), default=0)
    return [f"{name:{width}}  {kind:4}  {value}" for name, kind, value in rows]
