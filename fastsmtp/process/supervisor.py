"""Who runs, who is started when, and who stands in for whom: the decisions for one generation, without any I/O.

`Supervisor` is told what happened and answers with actions; master.py carries them out. A process that died is
started again at once the first time and after growing pauses when it cannot live (backoff.py). Until a worker's
successor is ready a sibling accepts from its sockets ("watch"), and while the slot stands empty in a pause a
sibling also delivers from its spool shard ("adopt"), which it gives back before the successor is started.

A generation that follows another waits: its processes get ready and accept nothing, so that it can be given up
without a trace. Once all are ready it is opened, and the one before it retires: docs/decisions/0010-generations.md.
"""

import signal
from collections.abc import Callable, Mapping, Sequence

from fastsmtp.process import messages
from fastsmtp.process.actions import (
    Action,
    Announce,
    Failed,
    Finish,
    Fork,
    Kill,
    Orphan,
    Prepared,
    Say,
    Send,
)
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

ADOPT_AGAIN = 1.0
"""Seconds after which a shard is tried again that another process had locked."""

FORCED_EXIT = 70
"""Exit code when a worker had to be killed at the end (EX_SOFTWARE)."""


class _Slot:
    """What is known of one process: a worker with its own ``shard``, or a helper, which has none."""

    __slots__ = (
        "alive",
        "asked_to_end",
        "crashed",
        "holder",
        "index",
        "name",
        "plan",
        "ready",
        "releasing",
        "restart_at",
        "shard",
        "start_code",
        "started",
        "watcher",
        "why",
    )

    def __init__(self, index: int, name: str, shard: int) -> None:
        self.index = index
        self.name = name
        self.shard = shard
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
        self.why = ""


class Supervisor:
    """The state of all processes of a generation.

    ``shards`` are the numbers of the spool shards that the workers own, one each; ``orphans`` those that nobody owns
    any more, such as of a former, larger number of workers: worker K % workers drains them. ``grace`` is how many
    seconds a stop may take before processes are killed; ``watching`` is false when all workers accept from shared
    sockets and need no stand-in there. ``helpers`` are the names of processes beside the workers, without which mail
    goes on. ``waits``: nobody accepts before `open`.
    """

    def __init__(
        self,
        shards: Sequence[int],
        orphans: Sequence[int] = (),
        *,
        grace: float,
        watching: bool,
        helpers: Sequence[str] = (),
        waits: bool = False,
    ) -> None:
        self._workers = [_Slot(i, f"worker {shard}", shard) for i, shard in enumerate(shards)]
        count = len(self._workers)
        self._all = [*self._workers, *(_Slot(count + i, name, -1) for i, name in enumerate(helpers))]
        self._orphans = dict.fromkeys(orphans, False)
        """Whether the last owner of each crashed."""
        self._again: dict[int, float] = {}
        """When to try once more those that were locked."""
        self._leaving: set[int] = set()
        """Those that are being closed."""
        self._lent: set[int] = set()
        """Those that were closed for another generation, which may come to nothing."""
        self._grace = grace
        self._watching = watching
        self._waits = waits
        self._first_ready = False
        self._announced = False
        self._retired = False
        self._stop_at: float | None = None
        self._killed: set[int] = set()
        self._code = 0
        """The exit code when no worker could start."""

    # --- what happened ------------------------------------------------------------------------

    def start(self, now: float) -> list[Action]:
        """Start all processes."""
        return [action for slot in self._all for action in self._fork(slot, now)]

    def ready(self, index: int, now: float) -> list[Action]:
        """The process of ``index`` accepts connections, or could."""
        slot = self._all[index]
        slot.ready = True
        if self.ending:
            return []
        if self._waits:
            return [Prepared()] if all(other.ready for other in self._all) else []
        actions: list[Action] = []
        if slot.watcher is not None:
            actions.append(Send(slot.watcher, Message(messages.UNWATCH, index)))
            slot.watcher = None
        actions += self._adopt_orphans(slot)
        if not self._first_ready and slot.shard >= 0:
            self._first_ready = True
            for other in self._workers:
                if other.start_code:
                    actions += self._start_again(other, now)
        if not self._announced and all(other.ready for other in self._workers):
            self._announced = True
            actions.append(Announce())
        return actions + self._stand_in()

    def explained(self, index: int, text: str) -> list[Action]:
        """The process of ``index`` is about to end because of ``text``: it cannot start."""
        self._all[index].why = text
        return []

    def open(self) -> list[Action]:
        """After `Prepared`: all accept from now on."""
        self._waits = False
        self._first_ready = self._announced = True
        actions: list[Action] = [Send(slot.index, Message(messages.ACCEPT)) for slot in self._workers]
        for slot in self._workers:
            actions += self._adopt_orphans(slot)
        return [*actions, Announce()]

    def inherit(self, shard: int, crashed: bool) -> list[Action]:
        """Another generation has left ``shard``."""
        self._orphans[shard] = crashed
        if self._waits or self.ending:
            return []
        return self._adopt_orphans(self._heir(shard), (shard,))

    def refused(self, shard: int, now: float) -> list[Action]:
        """A shard could not be adopted, as another process had it locked."""
        if shard in self._orphans:
            self._again[shard] = now + ADOPT_AGAIN
        return []

    def emptied(self, shard: int, by: int) -> list[Action]:
        """Nothing is in an orphan any more: it is closed."""
        if shard not in self._orphans or self.ending:
            return []
        del self._orphans[shard]
        self._leaving.add(shard)
        # Those of two generations are enough for the next ones; an upgrade always makes others.
        verb = messages.RELEASE if shard < 2 * len(self._workers) else messages.REMOVE
        return [Send(by, Message(verb, shard))]

    def disown(self, shards: Sequence[int]) -> list[Action]:
        """Close these orphans: a new generation wants them for its own."""
        actions: list[Action] = []
        for shard in shards:
            heir = self._heir(shard)
            if shard in self._orphans and heir.ready:
                del self._orphans[shard]
                self._leaving.add(shard)
                self._lent.add(shard)
                actions.append(Send(heir.index, Message(messages.RELEASE, shard)))
        return actions

    def reclaim(self) -> list[Action]:
        """The new generation has come to nothing: what was closed for it is adopted again."""
        lent, self._lent = self._lent, set()
        return [action for shard in sorted(lent) for action in self.inherit(shard, False)]

    def released(self, shard: int, by: int, now: float) -> list[Action]:
        """The worker of ``by`` has closed ``shard``."""
        if shard in self._leaving:
            self._leaving.remove(shard)
            return [Orphan(shard, False)] if self._retired else []
        if self._retired and shard in self._orphans:
            return [Orphan(shard, self._orphans.pop(shard))]
        slot = next((slot for slot in self._workers if slot.shard == shard), None)
        if slot is None or slot.holder != by:
            return []
        slot.holder = None
        if self._retired:
            return [Orphan(shard, slot.crashed)]
        if not slot.releasing or self.ending:
            return []
        slot.releasing = False
        return self._fork(slot, now)

    def died(self, index: int, now: float, code: int, number: int) -> list[Action]:
        """The process of ``index`` ended with exit ``code``, or by signal ``number`` unless 0."""
        slot = self._all[index]
        lived = now - slot.started
        if number or slot.ready:  # one that could not start has not touched what its forerunner had in hand
            slot.crashed = number in CRASHES
        slot.alive = slot.ready = False
        slot.asked_to_end = None
        reason = f"signal {_signal_name(number)}" if number else f"exit code {code}"
        if self._waits and not self.ending:
            why = slot.why or f"it ended by {reason}; the log says more"
            return [Failed(f"{slot.name} cannot start: {why}", code)]
        if self.ending:
            actions = self._left_behind(slot)
            return actions if any(other.alive for other in self._all) else actions + self._finish()
        actions = self._duties_fall_back(slot, now)
        if not self._first_ready and code and not number and slot.shard >= 0:
            slot.start_code = code
            if all(other.start_code for other in self._workers):
                return self._give_up(code, now)
            return actions
        actions.append(Say(f"{slot.name} ended by {reason} after {lived:.1f} s"))
        return actions + self._start_again(slot, now) + self._stand_in()

    def retire(self, now: float, patience: float) -> list[Action]:
        """Another generation serves: end as the sessions do, in ``patience`` seconds at most, and leave the shards to
        it."""
        self._retired = True
        self._stop_at = now + patience + self._grace + KILL_AFTER
        actions: list[Action] = []
        for shard in list(self._orphans):
            heir = self._heir(shard)
            if heir.ready:
                actions.append(Send(heir.index, Message(messages.RELEASE, shard)))
            else:
                actions.append(Orphan(shard, self._orphans.pop(shard)))
        for slot in self._all:
            slot.restart_at = None
            if slot.alive and slot.ready and slot.shard >= 0:
                actions.append(Send(slot.index, Message(messages.DRAIN, int(patience))))
            elif slot.alive:
                actions.append(Kill(slot.index, signal.SIGTERM))
            elif slot.holder is not None:
                actions.append(Send(slot.holder, Message(messages.RELEASE, slot.shard)))
            elif slot.shard >= 0:
                actions.append(Orphan(slot.shard, slot.crashed))
        return actions if any(slot.alive for slot in self._all) else actions + self._finish()

    def stop(self, now: float) -> list[Action]:
        """The first request to stop drains the processes, the second kills them."""
        if self.stopping:
            self._stop_at = now
            return self.tick(now, {})
        self._retired = False
        self._stop_at = now + self._grace + KILL_AFTER
        if not any(slot.alive for slot in self._all):
            return self._finish()
        return [Kill(slot.index, signal.SIGTERM) for slot in self._all if slot.alive]

    def tick(self, now: float, beats: Mapping[int, float]) -> list[Action]:
        """Time has passed; ``beats`` holds when the heart of each process beat last."""
        actions: list[Action] = []
        if self._stop_at is not None:
            if now >= self._stop_at:
                self._stop_at = now + KILL_AFTER
                for slot in self._all:
                    if slot.alive:
                        self._killed.add(slot.index)
                        actions += [
                            Say(f"{slot.name} has not ended in time: killed"),
                            Kill(slot.index, signal.SIGKILL),
                        ]
            elif self._retired:
                for slot in self._all:
                    if slot.alive:
                        actions += self._check_beat(slot, now, beats.get(slot.index, now))
            return actions
        for slot in self._all:
            if slot.alive:
                actions += self._check_beat(slot, now, beats.get(slot.index, now))
            elif slot.restart_at is not None and now >= slot.restart_at:
                slot.restart_at = None
                if slot.holder is None:
                    actions += self._fork(slot, now)
                else:
                    slot.releasing = True
                    actions.append(Send(slot.holder, Message(messages.RELEASE, slot.shard)))
        for shard, at in list(self._again.items()):
            if now >= at:
                del self._again[shard]
                actions += self._adopt_orphans(self._heir(shard), (shard,))
        return actions

    # --- what the master asks -----------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop_at is not None and not self._retired

    @property
    def ending(self) -> bool:
        """Whether no process is started any more."""
        return self._stop_at is not None

    def deadline(self) -> float | None:
        """When `tick` has something to do besides the heartbeats."""
        if self._stop_at is not None:
            return self._stop_at
        return min((s.restart_at for s in self._all if s.restart_at is not None), default=None)

    def names(self) -> list[str]:
        """What each process is called, by its index."""
        return [slot.name for slot in self._all]

    def shards(self) -> list[int]:
        """The shard of each worker, by its index."""
        return [slot.shard for slot in self._workers]

    def held(self) -> set[int]:
        """Shards that a process of this generation has open or may open."""
        return {*self.shards(), *self._orphans, *self._leaving}

    @property
    def releasing(self) -> bool:
        """Whether shards are being closed."""
        return bool(self._leaving)

    def orphans(self) -> set[int]:
        """Those that were adopted, or are to be."""
        return set(self._orphans)

    def serves(self, index: int) -> bool:
        """Whether the process of ``index`` is ready."""
        return self._all[index].ready

    def healthy(self, now: float, beats: Mapping[int, float]) -> bool:
        """Whether a worker serves, and none has been silent for longer than it takes to replace it."""
        limit = BEAT_LIMIT + 3 * KILL_AFTER
        silent = any(
            slot.ready and now - beats.get(slot.index, now) > limit for slot in self._workers if slot.alive
        )
        return not silent and any(slot.ready for slot in self._workers)

    # --- inside -------------------------------------------------------------------------------

    def _fork(self, slot: _Slot, now: float) -> list[Action]:
        slot.alive = True
        slot.ready = False
        slot.started = now
        slot.start_code = 0
        return [Fork(slot.index, slot.crashed, self._waits)]

    def _start_again(self, slot: _Slot, now: float) -> list[Action]:
        slot.start_code = 0
        delay = slot.plan.died(now - slot.started)
        if not delay:
            return self._fork(slot, now)
        slot.restart_at = now + delay
        return [Say(f"{slot.name} is started again in {delay:g} s")]

    def _give_up(self, code: int, now: float) -> list[Action]:
        """No worker can start: the helpers end too."""
        self._stop_at = now + self._grace + KILL_AFTER
        self._code = code
        helpers = [slot for slot in self._all if slot.alive]
        return [Kill(slot.index, signal.SIGTERM) for slot in helpers] or [Finish(code)]

    def _heir(self, shard: int) -> _Slot:
        """Who adopts an orphan."""
        return self._workers[shard % len(self._workers)]

    def _adopt_orphans(self, slot: _Slot, shards: Sequence[int] | None = None) -> list[Action]:
        """Orders for those of ``shards``, or of all orphans, that are this worker's."""
        if not slot.ready or slot.shard < 0:
            return []
        return [
            Send(slot.index, Message(messages.ADOPT, shard, crashed))
            for shard, crashed in self._orphans.items()
            if self._heir(shard) is slot and (shards is None or shard in shards)
        ]

    def _duties_fall_back(self, slot: _Slot, now: float) -> list[Action]:
        """What a dead process did for others is nobody's now."""
        actions: list[Action] = []
        self._leaving -= {shard for shard in self._leaving if self._heir(shard) is slot}
        for shard in self._orphans:
            if self._heir(shard) is slot:
                self._orphans[shard] = slot.crashed
        for other in self._workers:
            if other.watcher == slot.index:
                other.watcher = None
            if other.holder == slot.index:
                other.holder = None
                other.crashed = slot.crashed
                if other.releasing:
                    other.releasing = False
                    actions += self._fork(other, now)
        return actions

    def _left_behind(self, slot: _Slot) -> list[Action]:
        """The shards that a process of a generation that retires had open when it ended."""
        if not self._retired or slot.shard < 0:
            return []
        actions: list[Action] = [Orphan(slot.shard, slot.crashed)]
        for shard in [shard for shard in self._orphans if self._heir(shard) is slot]:
            del self._orphans[shard]
            actions.append(Orphan(shard, slot.crashed))
        for other in self._workers:
            if other.holder == slot.index:
                other.holder = None
                actions.append(Orphan(other.shard, slot.crashed))
        return actions

    def _stand_in(self) -> list[Action]:
        """Give what no worker looks after to the ready sibling with the fewest such duties."""
        actions: list[Action] = []
        for slot in self._workers:
            waiting = slot.restart_at is not None
            starting = slot.alive and not slot.ready and self._announced
            if self._watching and slot.watcher is None and (waiting or starting):
                slot.watcher = self._sibling(slot, lambda other: other.watcher)
                if slot.watcher is not None:
                    actions.append(Send(slot.watcher, Message(messages.WATCH, slot.index)))
            if waiting and slot.holder is None:
                slot.holder = self._sibling(slot, lambda other: other.holder)
                if slot.holder is not None:
                    actions.append(Send(slot.holder, Message(messages.ADOPT, slot.shard, slot.crashed)))
        return actions

    def _sibling(self, slot: _Slot, duty: Callable[[_Slot], int | None]) -> int | None:
        load = {other.index: 0 for other in self._workers if other.ready and other is not slot}
        for other in self._workers:
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
            Say(f"{slot.name} has not answered for {now - beat:.0f} s: ended"),
            Kill(slot.index, signal.SIGABRT),
        ]

    def _finish(self) -> list[Action]:
        killed = len(self._killed)
        return [Finish(self._code or (FORCED_EXIT if killed else 0), killed)]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
