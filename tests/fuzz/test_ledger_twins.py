"""Invariant: whatever stands in a ledger, the compiled finder of keys and its plain twin find the same.

Run longer with FASTSMTP_FUZZ=N (examples a target).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp import _core
from fastsmtp._core import _py_ledger as plain
from tests.tools.fuzzing import fuzzed

if not _core.COMPILED:
    pytest.skip("the compiled core is not in use", allow_module_level=True)

from fastsmtp._core import ledger as compiled

pieces = st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\n", b"\0", b"\xff", b'"id":', b'"to":[', b'"a","b"',
     b'{"about":"', b'"from":"A"', b',"message_id":"<x>"', b'"other":{"id":"x"}', b"1", b"null", b'"}\n{"'],
)  # fmt: skip
texts = st.lists(pieces, max_size=60).map(b"".join)


@fuzzed
@given(texts, st.integers(0, 1 << 20))
def test_entries(data: bytes, base: int) -> None:
    assert compiled.entries(data, base) == plain.entries(data, base)


@fuzzed
@given(st.sampled_from("ifmt"), st.binary(max_size=40))
def test_keys(kind: str, value: bytes) -> None:
    assert compiled.key(kind, value) == plain.key(kind, value)


@fuzzed
@given(
    st.lists(st.integers(0, (1 << 64) - 1), max_size=50).map(
        lambda them: b"".join(n.to_bytes(8, "little") for n in them)
    )
)
def test_merge(runs: bytes) -> None:
    assert compiled.merge(runs) == plain.merge(runs)
