"""An upgrade that comes to nothing while mail comes in by HTTP: none ends up with a program that never serves."""

import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from tests.system.server import RunningServer, free_port
from tests.system.test_http import SHOP, ask, mail, served, settings
from tests.tools.waiting import until

PROGRAM = """
import pathlib, sys
sys.path.insert(0, {root!r})
mark = pathlib.Path({mark!r})
if mark.exists():
    from fastsmtp.process import master
    master.Master._follow = lambda self, predecessor: mark.write_text("ready")
from fastsmtp.cli.main import main
sys.argv[0] = "fastsmtp"
sys.exit(main())
"""
"""Once its file is there, the next version gets all its workers ready, and never says so."""


def test_mail_by_http_goes_to_workers_that_serve(tmp_path: Path) -> None:
    mark, script, port = tmp_path / "mark", tmp_path / "program.py", free_port()
    script.write_text(PROGRAM.format(root=str(Path(__file__).parent.parent.parent), mark=str(mark)))
    more: dict[str, Any] = settings(port)
    program = [sys.executable, str(script), "serve"]
    with RunningServer(tmp_path / "server", program=program, **more) as server:
        until("HTTP", lambda: served(port), 40)
        mark.touch()
        os.kill(server.running.pid, signal.SIGUSR2)
        until("its workers are ready", lambda: mark.read_text() == "ready", 40)
        before = {path.name for path in (server.data / "control").iterdir()}
        assert len(before) == 6, "four workers, the master, and HTTP"
        answers: list[int] = []

        def send() -> None:
            answers.extend(ask(port, "POST", "/v1/messages", mail(number), SHOP)[0] for number in range(20))

        threads = [threading.Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(answers) == {202}

        def takers() -> list[str]:
            return re.findall(r"^\S+ fastsmtp\[\d+/(\d+)\] received id=", server.log, re.MULTILINE)

        until("all are in the log", lambda: len(takers()) == 40, 40)
        assert set(takers()) == {"0", "1"}
