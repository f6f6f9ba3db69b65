"""Values through a pipe."""

import os

import msgspec
import pytest

from fastsmtp.loadgen.pipes import Inbox, fork, gather, send


class Note(msgspec.Struct):
    text: str = ""


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_values_come_out_as_they_went_in_however_they_are_cut(step: int) -> None:
    reading, writing = os.pipe()
    for text in ("one", "", "three" * 20):
        send(writing, Note(text))
    os.close(writing)
    data = os.read(reading, 10_000)
    os.close(reading)
    inbox = Inbox()
    found = []
    for at in range(0, len(data), step):
        found += inbox.feed(data[at : at + step])
    assert [msgspec.msgpack.decode(one, type=Note).text for one in found] == ["one", "", "three" * 20]


def test_the_latest_of_each_pipe_is_gathered() -> None:
    ends = [os.pipe() for _ in range(3)]
    for (_, writing), texts in zip(ends, (["a", "b"], [], ["c"]), strict=True):
        for text in texts:
            send(writing, Note(text))
        os.close(writing)
    seen: list[list[Note]] = []
    found = gather([reading for reading, _ in ends], Note, seen.append)
    assert [note.text for note in found] == ["b", "", "c"]
    assert seen[-1] == found
    for reading, _ in ends:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(reading)


def test_a_forked_process_tells_and_ends() -> None:
    unwanted, kept = os.pipe()

    def work(pipe: int) -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(unwanted)
        send(pipe, Note("here"))

    def fail(pipe: int) -> None:
        raise BrokenPipeError

    reading, pid = fork(work, [unwanted])
    other, second = fork(fail, [])
    assert [note.text for note in gather([reading, other], Note, lambda latest: None)] == ["here", ""]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]) == 1
    os.close(unwanted)
    os.close(kept)
