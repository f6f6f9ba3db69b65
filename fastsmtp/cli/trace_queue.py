"""What the queue of a running server says of a message that is traced."""

import asyncio
from pathlib import Path

from fastsmtp.control import together
from fastsmtp.control.client import ControlError, shards_of
from fastsmtp.control.place import slots
from fastsmtp.control.queue import Shown


def ask_queue(data_dir: Path, queue_id: str) -> tuple[Shown | None, str]:
    """What the queue has of a message, or why nothing is said."""
    return asyncio.run(_ask(data_dir, queue_id))


async def _ask(data_dir: Path, queue_id: str) -> tuple[Shown | None, str]:
    try:
        desks, problems = await shards_of(data_dir, slots(data_dir))
        if not desks:
            return None, str(problems[0]) if problems else "no server runs"
        answer = await together.show(desks, queue_id)
    except ControlError as error:
        return None, str(error)
    except OSError as error:
        return None, f"{error.filename}: {error.strerror}"
    return (answer[1], "") if answer else (None, "it does not wait in the queue")
