"""The program's choice of a dialogue follows the core that runs; both choices have the same face."""

import inspect
import subprocess
import sys

import pytest

from fastsmtp import _core
from fastsmtp.smtp import client, client_dialogue, dialogue, server, server_session


def test_the_core_that_runs_is_the_one_that_is_used() -> None:
    modules = {dialogue.ServerProtocol.__module__, client_dialogue.ClientProtocol.__module__}
    expected = {"fastsmtp._core.dialog", "fastsmtp._core.client"}
    assert modules == (expected if _core.COMPILED else {"fastsmtp.smtp.server", "fastsmtp.smtp.client"})


@pytest.mark.parametrize("core", ["py", "c"])
def test_the_environment_chooses(core: str) -> None:
    if core == "c":
        pytest.importorskip("fastsmtp._core.dialog", reason="the compiled core is not built")
    code = "from fastsmtp.smtp.dialogue import ServerProtocol as S; print(S.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"FASTSMTP_CORE": core}, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == {"py": "fastsmtp.smtp.server", "c": "fastsmtp._core.dialog"}[core], (
        done.stderr
    )


def public(cls: type) -> set[str]:
    """The public names of a class."""
    return {name for name in dir(cls) if not name.startswith("_")}


def test_the_twins_have_one_face() -> None:
    compiled = pytest.importorskip("fastsmtp._core.dialog", reason="the compiled core is not built")
    assert public(server.ServerProtocol) == public(compiled.ServerProtocol)
    for name in public(server.ServerProtocol):
        plain = getattr(server.ServerProtocol, name)
        if inspect.isfunction(plain):
            names = list(inspect.signature(getattr(compiled.ServerProtocol, name)).parameters)
            assert names == list(inspect.signature(plain).parameters)


def test_they_are_divided_alike() -> None:
    compiled = pytest.importorskip("fastsmtp._core.server_session", reason="the compiled core is not built")
    assert public(server_session.ServerSession) == public(compiled.ServerSession)


def test_so_have_the_clients() -> None:
    compiled = pytest.importorskip("fastsmtp._core.client", reason="the compiled core is not built")
    assert public(client.ClientProtocol) == public(compiled.ClientProtocol)
