"""What observing costs while mail comes in: four servers, visited in turn by smtp-source.

    PYTHONPATH=. .venv/bin/python bench/observing.py [--rounds 10] [--messages 30000] [--connect] [--json FILE]

One observes as it comes (ledger, metrics, the log as text into a file), one has no ledger, two observe nothing of
mail (unobserved.py). 4 KB mails over 20 sessions, kept connections unless ``--connect``. The order changes from round
to round. By what the two that observe nothing differ, the machine scatters.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from statistics import median

from drive import burst
from servers import FastSmtp, pids

from fastsmtp.loadgen import processes

PORT = 2624
UNOBSERVED = str(Path(__file__).resolve().parent / "unobserved.py")
FIGURES = ("messages_per_s", "user_cpu_us", "all_cpu_us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--connect", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    var = Path(__file__).resolve().parent / "var"
    var.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="observing-", dir=var))
    no_ledger = "\n[ledger]\nenabled = false\n"
    servers = {
        "all": FastSmtp(folder / "all", PORT),
        "no_ledger": FastSmtp(folder / "no_ledger", PORT + 1, extra=no_ledger),
        "nothing": FastSmtp(folder / "nothing", PORT + 2, extra=no_ledger, program=(UNOBSERVED,)),
        "nothing_again": FastSmtp(folder / "again", PORT + 3, extra=no_ledger, program=(UNOBSERVED,)),
    }
    rounds: list[dict[str, dict[str, float]]] = []
    try:
        for server in servers.values():
            server.start()
        names = list(servers)
        for turn in range(options.rounds + 1):
            at = turn % len(names)
            figures = {
                name: visit(servers[name], f"u{turn}", options.messages, kept=not options.connect)
                for name in (*names[at:], *names[:at])
            }
            if turn:  # the first one warms up
                rounds.append(figures)
                print(
                    {name: [round(one[figure]) for figure in FIGURES] for name, one in figures.items()},
                    flush=True,
                )
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(folder)
    result = {
        "command": f"bench/observing.py --rounds {options.rounds} --messages {options.messages}"
        + (" --connect" if options.connect else ""),
        **{
            figure: {name: median(one[name][figure] for one in rounds) for name in servers}
            for figure in FIGURES
        },
        "ratio_to_nothing": {
            figure: {
                name: median(one[name][figure] / one["nothing"][figure] for one in rounds)
                for name in servers
                if name != "nothing"
            }
            for figure in FIGURES
        },
        "rounds": rounds,
    }
    print(json.dumps({name: value for name, value in result.items() if name != "rounds"}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def visit(server: FastSmtp, user: str, count: int, *, kept: bool) -> dict[str, float]:
    """One burst; CPU is that of all the server's processes until all is delivered, in microseconds a message."""
    before = processes.usage(pids(server))
    found = burst(server, user, kept=kept, sessions=20, size=4096, count=count)
    after = processes.usage(pids(server))
    return {
        "messages_per_s": found["messages_per_s"],
        "user_cpu_us": (after.user - before.user) / count * 1e6,
        "all_cpu_us": (after.cpu - before.cpu) / count * 1e6,
    }


if __name__ == "__main__":
    main()
