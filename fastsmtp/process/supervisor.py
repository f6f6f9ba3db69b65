"""Who runs, who is started when, and who stands in for whom: the master's decisions, without any I/O.

`Supervisor` is told what happened and answers with actions; master.py carries them out. A worker that died is
started again at once the first time and after growing pauses when it cannot live (backoff.py). Until its
successor is ready a sibling accepts from its sockets ("watch"), and while the slot stands empty in a pause a
sibling also delivers from its spool shard ("adopt"), which it gives back before the successor is started.
"""

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fastsmtp.process import messages
from fastsmtp.process.backoff import RestartPlan
from fastsmtp.process.messages import Message

CRASHES = frozenset(
    (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
)
"""Signals that mean the worker brought its end about itself; SIGKILL comes from outside."""

BEAT_LIMIT = 60.0
"""Seconds without a heartbeat after which a worker counts as hung."""

START_LIMIT = 600.0
"""The same for a worker that is still opening its spool."""

KILL_AFTER = 5.0
"""Seconds between the signal that asks a worker to end and the one that ends it."""

FORCED_EXIT = 70
"""Exit code when a worker had to be killed at the end (EX_SOFTWARE)."""


class Fork(NamedTuple):
    """Start the worker of ``slot``; ``crashed``: its last one ended by a crash."""

    slot: int
    crashed: bool


class Send(NamedTuple):
    """Send ``message`` to the worker of ``slot``."""

    slot: int
    message: Message


class Kill(NamedTuple):
    """Send signal ``number`` to the worker of ``slot``."""

    slot: int
    number: signal.Signals


class Say(NamedTuple):
    """One line for the log."""

    text: str


class Announce(NamedTuple):
    """All workers serve for the first time."""


class Finish(NamedTuple):
    """End the master with ``code``."""

    code: int


Action = Fork | Send | Kill | Say | Announce | Finish


class _Slot:
    """What is known of one worker slot."""

    __slots__ = (
        "alive",
        "asked_to_end",
        "crashed",
        "holder",
        "index",
        "leftovers",
        "plan",
        "ready",
        "releasing",
        "restart_at",
        "start_code",
        "started",
        "watcher",
    )

    def __init__(self, index: int, leftovers: Sequence[int]) -> None:
        self.index = index
        self.leftovers = leftovers
        self.plan = RestartPlan()
        self.alive = False
        self.ready = False
        self.started = 0.0
        self.crashed = False
        self.start_code = 0
        self.restart_at: float | None = None
        self.holder: int | None = None
        self.watcher: int | None = None
        self.releasing = False
        self.asked_to_end: float | None = None


class Supervisor:
    """The state of all slots.

    ``workers`` is their number; ``leftovers`` the spool shards of a former, larger number, which slot
    K % workers drains; ``grace`` the seconds a stop may take before workers are killed; ``watching`` is false
    when all workers accept from one shared socket and need no stand-in there.
    """

    def __init__(self, workers: int, leftovers: Sequence[int], grace: float, *, watching: bool) -> None:
        self._slots = [_Slot(i, [k for k in leftovers if k % workers == i]) for i in range(workers)]
        self._grace = grace
        self._watching = watching
        self._first_ready = False
        self._announced = False
        self._stop_at: float | None = None
        self._killed: set[int] = set()

    # --- what happened ------------------------------------------------------------------------

    def start(self, now: float) -> list[Action]:
        """Start all workers."""
        return [action for slot in self._slots for action in self._fork(slot, now)]

    def ready(self, index: int, now: float) -> list[Action]:
        """The worker of slot ``index`` accepts connections."""
        slot = self._slots[index]
        slot.ready = True
        if self.stopping:
            return []
        actions: list[Action] = []
        if slot.watcher is not None:
            actions.append(Send(slot.watcher, Message(messages.UNWATCH, index)))
            slot.watcher = None
        actions += [Send(index, Message(messages.ADOPT, shard, slot.crashed)) for shard in slot.leftovers]
        if not self._first_ready:
            self._first_ready = True
            for other in self._slots:
                if other.start_code:
                    actions += self._start_again(other, now)
        if not self._announced and all(other.ready for other in self._slots):
            self._announced = True
            actions.append(Announce())
        return actions + self._stand_in()

    def released(self, index: int, by: int, now: float) -> list[Action]:
        """The worker of slot ``by`` has closed shard ``index``."""
        if index >= len(self._slots) or self.stopping:
            return []
        slot = self._slots[index]
        if slot.holder != by:
            return []
        slot.holder = None
        if not slot.releasing:
            return []
        slot.releasing = False
        return self._fork(slot, now)

    def died(self, index: int, now: float, code: int, number: int) -> list[Action]:
        """The worker of slot ``index`` ended with exit ``code``, or by signal ``number`` unless 0."""
        slot = self._slots[index]
        lived = now - slot.started
        if number or slot.ready:  # one that could not start has not touched what its forerunner had in hand
            slot.crashed = number in CRASHES
        slot.alive = slot.ready = False
        slot.asked_to_end = None
        if self.stopping:
            return [] if any(other.alive for other in self._slots) else self._finish()
        actions: list[Action] = []
        for other in self._slots:
            if other.watcher == index:
                other.watcher = None
            if other.holder == index:
                other.holder = None
                other.crashed = slot.crashed
                if other.releasing:
                    other.releasing = False
                    actions += self._fork(other, now)
        if not self._first_ready and code and not number:
            slot.start_code = code
            if all(other.start_code for other in self._slots):
                return [Finish(code)]
            return actions
        reason = f"signal {_signal_name(number)}" if number else f"exit code {code}"
        actions.append(Say(f"worker {index} ended by {reason} after {lived:.1f} s"))
        return actions + self._start_again(slot, now) + self._stand_in()

    def stop(self, now: float) -> list[Action]:
        """The first request to stop drains the workers, the second kills them."""
        if self._stop_at is not None:
            self._stop_at = now
            return self.tick(now, {})
        self._stop_at = now + self._grace + KILL_AFTER
        if not any(slot.alive for slot in self._slots):
            return self._finish()
        return [Kill(slot.index, signal.SIGTERM) for slot in self._slots if slot.alive]

    def tick(self, now: float, beats: Mapping[int, float]) -> list[Action]:
        """Time has passed; ``beats`` holds when each slot's heart beat last."""
        actions: list[Action] = []
        if self._stop_at is not None:
            if now >= self._stop_at:
                self._stop_at = now + KILL_AFTER
                for slot in self._slots:
                    if slot.alive:
                        self._killed.add(slot.index)
                        actions += [
                            Say(f"worker {slot.index} has not ended in time: killed"),
                            Kill(slot.index, signal.SIGKILL),
                        ]
            return actions
        for slot in self._slots:
            if slot.alive:
                actions += self._check_beat(slot, now, beats.get(slot.index, now))
            elif slot.restart_at is not None and now >= slot.restart_at:
                slot.restart_at = None
                if slot.holder is None:
                    actions += self._fork(slot, now)
                else:
                    slot.releasing = True
                    actions.append(Send(slot.holder, Message(messages.RELEASE, slot.index)))
        return actions

    # --- what the master asks -----------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop_at is not None

    def deadline(self) -> float | None:
        """When `tick` has something to do besides the heartbeats."""
        if self._stop_at is not None:
            return self._stop_at
        return min((s.restart_at for s in self._slots if s.restart_at is not None), default=None)

    # --- inside -------------------------------------------------------------------------------

    def _fork(self, slot: _Slot, now: float) -> list[Action]:
        slot.alive = True
        slot.ready = False
        slot.started = now
        slot.start_code = 0
        return [Fork(slot.index, slot.crashed)]

    def _start_again(self, slot: _Slot, now: float) -> list[Action]:
        slot.start_code = 0
        delay = slot.plan.died(now - slot.started)
        if not delay:
            return self._fork(slot, now)
        slot.restart_at = now + delay
        return [Say(f"worker {slot.index} is started again in {delay:g} s")]

    def _stand_in(self) -> list[Action]:
        """Give what no worker looks after to the ready sibling with the fewest such duties."""
        actions: list[Action] = []
        for slot in self._slots:
            waiting = slot.restart_at is not None
            starting = slot.alive and not slot.ready and self._announced
            if self._watching and slot.watcher is None and (waiting or starting):
                slot.watcher = self._sibling(slot, lambda other: other.watcher)
                if slot.watcher is not None:
                    actions.append(Send(slot.watcher, Message(messages.WATCH, slot.index)))
            if waiting and slot.holder is None:
                slot.holder = self._sibling(slot, lambda other: other.holder)
                if slot.holder is not None:
                    actions.append(Send(slot.holder, Message(messages.ADOPT, slot.index, slot.crashed)))
        return actions

    def _sibling(self, slot: _Slot, duty: Callable[[_Slot], int | None]) -> int | None:
        load = {other.index: 0 for other in self._slots if other.ready and other is not slot}
        for other in self._slots:
            held = duty(other)
            if held in load:
                load[held] += 1
        return min(load, key=lambda index: (load[index], index), default=None)

    def _check_beat(self, slot: _Slot, now: float, beat: float) -> list[Action]:
        if slot.asked_to_end is not None:
            if now < slot.asked_to_end + KILL_AFTER:
                return []
            slot.asked_to_end = now
            return [Kill(slot.index, signal.SIGKILL)]
        if now - beat <= (BEAT_LIMIT if slot.ready else START_LIMIT):
            return []
        slot.asked_to_end = now
        return [
            Say(f"worker {slot.index} has not answered for {now - beat:.0f} s: ended"),
            Kill(slot.index, signal.SIGABRT),
        ]

    def _finish(self) -> list[Action]:
        code = FORCED_EXIT if self._killed else 0
        count = len(self._killed)
        how = f", {count} worker{'s' if count > 1 else ''} had to be killed" if count else ""
        return [Say(f"stopped: exit code {code}{how}"), Finish(code)]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
