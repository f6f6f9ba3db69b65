"""Invariant: whatever a client sends in place of a handshake or of records, in whatever pieces, the layer raises
`TlsError` or waits for more, gives no clear text that was not sent, and has an alert at most to say.

Run longer with FASTSMTP_FUZZ=N (examples a target).
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.tls.layer import TlsError
from tests.fakes.session import cut
from tests.fakes.tls_client import TlsClient, client_context
from tests.tools.fuzzing import fuzzed
from tests.tools.tls_pairs import store_for

with tempfile.TemporaryDirectory() as _folder:
    STORE = store_for(Path(_folder))

# A name of a host that is not ASCII; the worker has a hook for it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTEXTS = {version: client_context(version) for version in ("1.2", "1.3")}

versions = st.sampled_from(["1.2", "1.3"])
places = st.lists(st.integers(0, 1 << 12), max_size=5)
changes = st.lists(st.tuples(st.integers(0, 1 << 12), st.integers(1, 255)), min_size=1, max_size=8)
rubbish = st.binary(max_size=600) | st.binary(max_size=600).map(
    lambda data: b"\x16\x03\x01" + len(data).to_bytes(2, "big") + data
)


def changed(data: bytes, at: list[tuple[int, int]]) -> bytes:
    """``data`` with some octets flipped."""
    new = bytearray(data)
    for place, flip in at:
        new[place % len(new)] ^= flip
    return bytes(new)


def given_to(client: TlsClient, data: bytes, at: list[int]) -> None:
    """Feed ``data`` in pieces, up to the first that is refused."""
    try:
        for piece in cut(data, at):
            client.feed(piece)
    except TlsError as error:
        said = str(error)
    else:
        return
    assert said.startswith("TLS")
    assert "\n" not in said


@fuzzed
@given(rubbish, places)
def test_rubbish(data: bytes, at: list[int]) -> None:
    client = TlsClient(STORE)
    given_to(client, data, at)
    assert client.heard == b""
    assert client.layer.facts is None


@fuzzed
@given(versions, changes, places)
def test_a_hello_that_was_changed(version: str, at: list[tuple[int, int]], cuts: list[int]) -> None:
    client = TlsClient(STORE, CONTEXTS[version])
    given_to(client, changed(client.flight(), at), cuts)
    assert client.heard == b""
    assert client.layer.facts is None


@fuzzed
@given(versions, changes, places)
def test_the_end_of_a_handshake_that_was_changed(
    version: str, at: list[tuple[int, int]], cuts: list[int]
) -> None:
    client = TlsClient(STORE, CONTEXTS[version])
    client.feed(client.flight())
    client.pump()
    given_to(client, changed(client.flight(), at), cuts)
    assert client.heard == b""


@fuzzed
@given(versions, changes, places)
def test_records_that_were_changed(version: str, at: list[tuple[int, int]], cuts: list[int]) -> None:
    said = b"MAIL FROM:<a@client.example>\r\n"
    client = TlsClient(STORE, CONTEXTS[version]).handshake()
    given_to(client, changed(client.ciphertext(said), at), cuts)
    assert client.heard in (b"", said)
