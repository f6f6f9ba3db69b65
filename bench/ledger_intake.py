"""What the ledger costs while mail comes in: two servers, one without it, visited in turn by smtp-source.

    .venv/bin/python bench/ledger_intake.py [--rounds 5] [--messages 20000] [--connect] [--json FILE]

4 KB mails over 20 sessions, kept connections unless ``--connect``. The order of the two changes from round to round;
the medians, and the median of the ratios within a round, are what counts.
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--connect", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    var = Path(__file__).resolve().parent / "var"
    var.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ledger-intake-", dir=var))
    servers: dict[str, FastSmtp] = {}
    rounds: list[dict[str, dict[str, float]]] = []
    try:
        for number, (name, extra) in enumerate((("on", ""), ("off", "\n[ledger]\nenabled = false\n"))):
            servers[name] = FastSmtp(folder / name, PORT + number, extra=extra)
            servers[name].start()
        for turn in range(options.rounds + 1):
            figures = {}
            for name in sorted(servers, reverse=turn % 2 == 1):
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
        "messages_per_s": {
            name: median(one[name]["messages_per_s"] for one in rounds) for name in ("on", "off")
        },
        "ratio": median(one["on"]["messages_per_s"] / one["off"]["messages_per_s"] for one in rounds),
        "cpu_ratio": median(
            one["on"]["cpu_ms_per_message"] / one["off"]["cpu_ms_per_message"] for one in rounds
        ),
        "rounds": rounds,
    }
    print(json.dumps({name: value for name, value in result.items() if name != "rounds"}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
