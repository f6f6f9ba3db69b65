"""What the ledger costs while mail comes in: three servers, two of them without it, visited in turn by smtp-source.

    PYTHONPATH=. .venv/bin/python bench/ledger_intake.py [--rounds 10] [--messages 30000] [--connect] [--json FILE]

4 KB mails over 20 sessions, kept connections unless ``--connect``. The order changes from round to round. By what
the two without a ledger differ, the machine scatters.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from statistics import median

from drive import burst
from servers import FastSmtp

PORT = 2624


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--connect", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    var = Path(__file__).resolve().parent / "var"
    var.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ledger-intake-", dir=var))
    servers: dict[str, FastSmtp] = {}
    rounds: list[dict[str, dict[str, float]]] = []
    try:
        off = "\n[ledger]\nenabled = false\n"
        for number, (name, extra) in enumerate((("on", ""), ("off", off), ("off_again", off))):
            servers[name] = FastSmtp(folder / name, PORT + number, extra=extra)
            servers[name].start()
        names = list(servers)
        for turn in range(options.rounds + 1):
            figures = {}
            for name in (*names[turn % 3 :], *names[: turn % 3]):
                figures[name] = burst(
                    servers[name],
                    f"u{turn}",
                    kept=not options.connect,
                    sessions=20,
                    size=4096,
                    count=options.messages,
                )
            if turn:  # the first one warms up
                rounds.append(figures)
                print({name: round(one["messages_per_s"]) for name, one in figures.items()}, flush=True)
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(folder)
    result = {
        "command": f"bench/ledger_intake.py --rounds {options.rounds}"
        + (" --connect" if options.connect else ""),
        **{
            figure: {name: median(one[name][figure] for one in rounds) for name in servers}
            for figure in ("messages_per_s", "cpu_ms_per_message")
        },
        "ratio": {
            name: median(one[name]["messages_per_s"] / one["off"]["messages_per_s"] for one in rounds)
            for name in ("on", "off_again")
        },
        "rounds": rounds,
    }
    print(json.dumps({name: value for name, value in result.items() if name != "rounds"}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
