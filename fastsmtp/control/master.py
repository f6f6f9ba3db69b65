"""What the master is asked by its control socket, ``data_dir/control/master``.

Verbs, all without an argument: ``status`` (`Status`), ``reload`` and ``upgrade`` (`Outcome`, once it has come to its
end), ``drain`` (`Outcome`).
"""

from msgspec import Struct


class Outcome(Struct):
    """Whether it was ``done``; ``lines`` say what is new then, otherwise why not. ``generation`` is the one that
    serves since."""

    done: bool
    lines: list[str]
    generation: int = 0
