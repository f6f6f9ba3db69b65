"""A mail reader at work beside the server: it takes mail from new/ to cur/ and deletes some of it."""

import threading
from collections import Counter
from pathlib import Path

from tests.tools import arrived


class Reader(threading.Thread):
    """Looks through all mailboxes below ``mail`` until `finish`, noting each message it finds in new/ before
    it touches it. One in ``delete`` is deleted, the others move to cur/; 0 deletes none.

    ``seen`` counts the files found in new/ by (mailbox, hash of the content), ``ids`` gives the queue id of
    each hash, ``faults`` says what should not have been there.
    """

    def __init__(self, mail: Path, delete: int = 3) -> None:
        super().__init__(name="reader", daemon=True)
        self._mail = mail
        self._delete_every = delete
        self._finishing = threading.Event()
        self._count = 0
        self.seen: Counter[tuple[str, str]] = Counter()
        self.ids: dict[str, str] = {}
        self.moved: set[Path] = set()
        self.faults: list[str] = []

    def run(self) -> None:
        while not self._finishing.wait(0.05):
            try:
                self.sweep()
            except OSError as error:
                self.faults.append(f"cannot list a mailbox: {error!r}")

    def sweep(self) -> None:
        """Take everything that stands in any new/ now."""
        for maildir in arrived.maildirs(self._mail):
            for path in sorted((maildir / "new").iterdir()):
                try:
                    self._take(maildir, path)
                except (AssertionError, OSError, ValueError) as error:
                    self.faults.append(f"{path}: {error!r}")

    def _take(self, maildir: Path, path: Path) -> None:
        message = arrived.read(path)
        key = (f"{maildir.name}@{maildir.parent.name}", message.digest)
        self.seen[key] += 1
        self.ids[message.digest] = message.queue_id
        self._count += 1
        if self._delete_every and self._count % self._delete_every == 0:
            path.unlink()
        else:
            target = maildir / "cur" / f"{path.name}:2,S"
            if target.exists():
                self.faults.append(f"{target} was there already")
            path.rename(target)
            self.moved.add(target)

    def halt(self) -> None:
        """Stop where it is."""
        self._finishing.set()
        self.join(30)
        assert not self.is_alive(), "the reader does not come to an end"

    def finish(self) -> None:
        """Stop, after a last look at everything; cur/ must hold what this reader put there and no more."""
        self.halt()
        self.sweep()
        for maildir in arrived.maildirs(self._mail):
            for path in sorted((maildir / "cur").iterdir()):
                if path not in self.moved:
                    self.faults.append(f"{path} was put into cur/ by somebody else")
