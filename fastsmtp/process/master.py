"""The master: serves nobody, it only keeps the workers alive, and lets one generation of them follow another.

A plain `selectors` loop over the signals' wake-up socket, one control socket per process and the master's own. No
event loop, no thread and no LMDB environment ever exists in this process, so that forking it is safe at any time. Who
runs is decided in supervisor.py, one for each generation, and done in crew.py; here is which generation serves.
"""

import os
import selectors
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from fastsmtp import __version__
from fastsmtp.clock import Clock
from fastsmtp.control.master import Outcome, ProcessStatus, Status
from fastsmtp.process import messages
from fastsmtp.process.actions import Action, Announce, Failed, Finish, Orphan, Prepared
from fastsmtp.process.crew import SIGNALS, Crew, Generation
from fastsmtp.process.door import Answer, Door, Handler
from fastsmtp.process.errors import StartError
from fastsmtp.process.maker import Maker, NotYet, Refusal
from fastsmtp.process.messages import Message
from fastsmtp.process.notify import Notify
from fastsmtp.process.shared import Heartbeats, Rows
from fastsmtp.process.successor import Predecessor, Successor, start_successor
from fastsmtp.telemetry.maillog import MailLog

BEAT_CHECK = 1.0
"""Seconds between two looks at the heartbeats."""

START_PATIENCE = 60.0
"""Seconds that a new generation has to get ready."""

ROOM_PATIENCE = 10.0
"""Seconds that a new generation waits for others to end by themselves when there is no room for it."""

Told = Callable[[Outcome], None]
"""Is told what came of a request."""


class Master:
    """Runs the generations that ``maker`` makes, until it is told to stop. A new one has ``patience`` seconds to
    get ready, and waits for ``room_patience`` when many have sessions. With a ``predecessor`` the first one serves
    once that says so."""

    def __init__(
        self,
        maker: Maker,
        *,
        rows: Rows,
        beats: Heartbeats,
        clock: Clock,
        log: MailLog,
        notify: Notify,
        predecessor: Predecessor | None = None,
        patience: float = START_PATIENCE,
        room_patience: float = ROOM_PATIENCE,
    ) -> None:
        self._maker = maker
        self._rows = rows
        self._beats = beats
        self._clock = clock
        self._log = log
        self._notify = notify
        self._predecessor = predecessor
        self._successor: Successor | None = None
        self._upgraded: list[Told] = []
        """Who waits for the upgrade."""
        self._started = clock.monotonic()
        self._alive_at = 0.0
        """When the service manager is given a sign of life again."""
        self._door: Door | None = None
        self._door_trouble = ""
        """Why it is not open, as was told."""
        self._last: Outcome | None = None
        self._patience = patience
        self._room_patience = room_patience
        self._room_at: float | None = None
        """When a generation is ended for want of rows."""
        self._current: Crew
        self._next: Crew | None = None
        self._old: list[Crew] = []
        """Those that drain, and those that were given up."""
        self._give_up_at = 0.0
        self._told: list[Told] = []
        """Who waits for the new generation that is getting ready."""
        self._wanted: list[Told] = []
        """Who waits for another one after it."""
        self._code: int | None = None
        self._exit = os.EX_OK
        self._killed = 0
        self._served = False
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_in = socket.socketpair()

    def run(self) -> int:
        """Start the workers and look after them; returns the exit code."""
        self._wakeup.setblocking(False)
        self._wakeup_in.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._on_signals)
        signal.set_wakeup_fd(self._wakeup_in.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for number in SIGNALS:
            signal.signal(number, _noted)
        self._current = self._crew(self._maker.first())
        self._heard(self._current, self._current.supervisor.start(self._clock.monotonic()))
        if self._predecessor is None:
            self._open_door()
        check_at = self._clock.monotonic() + BEAT_CHECK
        while self._code is None:
            self._log.flush()
            now = self._clock.monotonic()
            deadlines = [crew.supervisor.deadline() for crew in self._crews()]
            until = min([check_at, *(deadline for deadline in deadlines if deadline is not None)])
            for key, _ in self._selector.select(max(0.0, until - now)):
                if self._code is None:
                    key.data()
            now = self._clock.monotonic()
            if now >= check_at:
                check_at = now + BEAT_CHECK
                self._renew(at_once=False)
                self._look_around()
            self._tick(now)
        if self._door is not None:
            self._door.remove()
        self._log.flush()
        signal.set_wakeup_fd(-1)
        return self._code

    # --- requests -----------------------------------------------------------------------------

    def reload(self, told: Told) -> None:
        """Let a new generation follow by the settings as they are; while one is getting ready, another after it."""
        if self._current.supervisor.ending:
            told(Outcome(False, ["the server is ending"]))
            return
        self._wanted.append(told)
        self._try()

    def upgrade(self, told: Told) -> None:
        """Run the installed program anew, let it take over, and end with the last session."""
        why = ""
        if self._current.supervisor.ending:
            why = "the server is ending"
        elif self._next is not None or self._wanted:
            why = "a reload is under way; try again"
        elif self._successor is not None:
            why = "an upgrade is under way"
        if why:
            told(Outcome(False, [why]))
            return
        self._log.event("upgrade: starting the installed program")
        try:
            pid, channel = start_successor(self._maker.heritage, os.environ)
        except (OSError, StartError) as error:
            told(Outcome(False, [f"cannot start the installed program: {error}"]))
            return
        self._upgraded = [told]
        self._give_up_at = self._clock.monotonic() + self._patience
        self._successor = Successor(pid, channel, self._selector, self._on_successor)

    def drain(self) -> None:
        """Accept no more, and end with the last session."""
        if self._current.supervisor.ending:
            return
        self._notify.send("STOPPING=1", "STATUS=draining")
        self._log.event("draining: no new connections, sessions go on until their clients end them")
        self._retire()

    def stop(self) -> None:
        """The first request ends all sessions, the second kills the processes."""
        now = self._clock.monotonic()
        again = self._stopping
        if not again:
            self._notify.send("STOPPING=1", "STATUS=stopping")
            self._end_requests()
            self._maker.stop()
        for crew in self._crews():
            if again or not crew.supervisor.stopping:
                self._heard(crew, crew.supervisor.stop(now))

    def status(self) -> Status:
        """What `fastsmtp status` shows."""
        now = self._clock.monotonic()
        return Status(
            version=__version__,
            pid=os.getpid(),
            up=now - self._started,
            state=self._state(),
            generation=self._current.number,
            listeners=self._maker.listeners(),
            processes=[one for crew in self._crews() for one in self._processes(crew, now)],
            waiting=self._maker.waiting(None),
            last=self._last,
        )

    def _state(self) -> str:
        if self._stopping:
            return "stopping"
        if self._current.supervisor.ending:
            return "draining"
        return "reloading" if self._next is not None else "serving"

    def _processes(self, crew: Crew, now: float) -> list[ProcessStatus]:
        names, shards = crew.supervisor.names(), crew.supervisor.shards()
        found = []
        for place, one in sorted(crew.processes.items()):
            ready = crew.supervisor.serves(place) and crew is not self._next
            state = "draining" if crew.supervisor.ending else "serving" if ready else "starting"
            waiting = self._maker.waiting(shards[place]) if place < len(shards) else -1
            silent = max(0.0, now - self._beats.last(one.row))
            sessions = self._maker.sessions(one.row)
            found.append(ProcessStatus(names[place], one.pid, crew.number, state, sessions, waiting, silent))
        return found

    def _open_door(self) -> None:
        handlers: dict[str, Handler] = {
            "status": lambda answer: answer(self.status()),
            "reload": lambda answer: self.reload(answer),
            "upgrade": lambda answer: self.upgrade(answer),
            "drain": self._drain_for,
        }

        def make(path: Path, uid: int) -> Door:
            if self._door is None:
                self._door = Door(path, uid, handlers, selector=self._selector, clock=self._clock)
            return self._door

        try:
            self._maker.open_door(make)
            trouble = ""
        except OSError as error:
            trouble = f"{error.filename or 'the control socket'}: {error.strerror}"
            if trouble != self._door_trouble:
                self._log.event(
                    f"cannot listen at {trouble}; `fastsmtp status` cannot ask; it is tried again"
                )
        self._door_trouble = trouble

    def _drain_for(self, answer: Answer) -> None:
        self.drain()
        answer(Outcome(True, ["it ends with its last session"], self._current.number))

    def _retire(self) -> None:
        """No generation of this master follows."""
        self._end_requests()
        for number in self._maker.stop():
            self._current.send_all(Message(messages.CLOSE, number))
        current = self._current
        self._heard(current, current.supervisor.retire(self._clock.monotonic(), current.patience))

    def _end_requests(self) -> None:
        if self._successor is not None and not self._successor.handed_over:
            self._on_successor("the server is ending")
        if self._next is not None:
            self._fail(self._next, ["the server is ending"])
        self._answer(self._wanted, Outcome(False, ["the server is ending"]))

    # --- generations --------------------------------------------------------------------------

    def _crew(self, generation: Generation) -> Crew:
        return Crew(
            generation,
            rows=self._rows,
            beats=self._beats,
            clock=self._clock,
            log=self._log,
            selector=self._selector,
            forked=self._forked,
            ended=self._maker.ended,
            heard=self._heard,
        )

    def _crews(self) -> list[Crew]:
        return [self._current, *([self._next] if self._next else []), *self._old]

    @property
    def _stopping(self) -> bool:
        return self._current.supervisor.stopping

    def _try(self) -> None:
        """Begin the generation that is wanted, if that can be now."""
        if not self._wanted or self._next is not None or self._current.supervisor.ending:
            return
        if self._successor is not None:
            return
        now = self._clock.monotonic()
        supervisor = self._current.supervisor
        if supervisor.releasing:
            return
        taken = set().union(*(crew.supervisor.held() for crew in self._crews()))
        try:
            generation = self._maker.next(taken, supervisor.orphans())
        except Refusal as refusal:
            self._refuse(refusal.lines)
            return
        except NotYet as not_yet:
            self._heard(self._current, supervisor.disown(not_yet.shards))
            return
        except Exception as error:  # a fault of ours: it must not end the server that runs
            for line in traceback.format_exception(error):
                self._log.event(line)
            self._refuse([f"the new generation cannot be made: {error!r}; the log says more"])
            return
        if self._rows.free < len(generation.supervisor.names()):
            self._maker.give_up()
            self._make_room(now)
            return
        self._room_at = None
        self._told, self._wanted = self._wanted, []
        self._notify.reloading()
        self._give_up_at = now + self._patience
        self._next = crew = self._crew(generation)
        self._heard(crew, crew.supervisor.start(now))

    def _make_room(self, now: float) -> None:
        """So many generations have sessions that there is no room for another: some end by themselves soon; if not,
        the oldest must, and clients of it get 421."""
        if self._room_at is None:
            self._room_at = now + self._room_patience
        if now >= self._room_at and self._old and not any(crew.supervisor.stopping for crew in self._old):
            oldest = self._old[0]
            self._log.event(f"generation {oldest.number} ends, to make room for another")
            self._heard(oldest, oldest.supervisor.stop(now))

    def _on_successor(self, why: str | None) -> None:
        """The new master could serve, or cannot."""
        successor = self._successor
        if successor is None or successor.handed_over:
            return
        if why is not None:
            self._log.event(f"upgrade refused: {why}")
            successor.end()
            self._successor = None
            self._maker.shun()
            self._last = Outcome(False, [why], self._current.number, self._clock.now())
            self._answer(self._upgraded, self._last)
            return
        if not successor.lives():
            return  # it was ready, and has died: its end, which is told soon, is why it is none
        # Before it says that it is ready, as the service manager listens to one process only.
        self._notify.send(f"MAINPID={successor.pid}")
        self._notify = Notify({})
        if self._door is not None:
            self._door.close()
        successor.go()
        line = f"the new master, pid {successor.pid}, serves; this one ends with its last session"
        self._log.event(f"upgrade: {line}")
        self._answer(
            self._wanted, Outcome(False, ["an upgrade came first, another master serves now; try again"])
        )
        self._retire()
        self._last = Outcome(True, [line], self._current.number + 1, self._clock.now())
        self._answer(self._upgraded, self._last)

    def _follow(self, predecessor: Predecessor) -> None:
        """All our processes are ready to take the place of the other master's."""
        try:
            self._maker.take_over()
        except StartError as error:
            self._cannot_follow(str(error), error.code)
            return
        predecessor.ready()
        predecessor.watch(self._selector, self._serve_in_its_place)

    def _serve_in_its_place(self) -> None:
        self._predecessor = None
        self._maker.claim()
        self._heard(self._current, self._current.supervisor.open())
        self._open_door()

    def _cannot_follow(self, why: str, code: int) -> None:
        if self._predecessor is not None:
            self._predecessor.failed(why)
        self._log.event(why)
        self._exit = code or os.EX_UNAVAILABLE
        self.stop()

    def _take_over(self, crew: Crew) -> None:
        """All processes of the new generation are ready."""
        if self._predecessor is not None:
            self._follow(self._predecessor)
            return
        try:
            vanished, lines = self._maker.begin()
        except StartError as error:
            self._fail(crew, [str(error)])
            return
        old, self._current, self._next = self._current, crew, None
        self._old.append(old)
        self._heard(crew, crew.supervisor.open())
        for number in vanished:
            old.send_all(Message(messages.CLOSE, number))
        self._heard(old, old.supervisor.retire(self._clock.monotonic(), old.patience))
        for line in lines:
            self._log.event(f"reload: {line}")
        self._log.event(f"generation {crew.number} serves, generation {old.number} drains")
        self._notify.send("READY=1", f"STATUS=generation {crew.number} serves")
        self._last = Outcome(True, lines, crew.number, self._clock.now())
        self._answer(self._told, self._last)

    def _fail(self, crew: Crew, lines: Sequence[str]) -> None:
        """The new generation is none; the current one serves on."""
        self._next = None
        self._old.append(crew)
        self._maker.give_up()
        self._heard(crew, crew.supervisor.stop(self._clock.monotonic()))
        self._refuse(lines, self._told)

    def _refuse(self, lines: Sequence[str], waiting: list[Told] | None = None) -> None:
        for line in lines:
            self._log.event(f"reload refused: {line}")
        self._heard(self._current, self._current.supervisor.reclaim())
        self._notify.send("READY=1", f"STATUS=generation {self._current.number} serves, a reload was refused")
        self._last = Outcome(False, list(lines), self._current.number, self._clock.now())
        self._answer(self._wanted if waiting is None else waiting, self._last)

    def _answer(self, waiting: list[Told], outcome: Outcome) -> None:
        told = list(waiting)
        waiting.clear()
        for one in told:
            one(outcome)

    # --- what happens -------------------------------------------------------------------------

    def _heard(self, crew: Crew, actions: Sequence[Action]) -> None:
        """Do what a supervisor has decided."""
        for action in crew.do(actions):
            if isinstance(action, Announce):
                self._served = True
                self._maker.announce()
                self._notify.send("READY=1", f"STATUS=generation {crew.number} serves")
            elif isinstance(action, Prepared):
                self._take_over(crew)
            elif isinstance(action, Failed):
                if crew is self._next:
                    self._fail(crew, [action.text])
                elif not crew.supervisor.ending:
                    self._cannot_follow(action.text, action.code)
            elif isinstance(action, Orphan):
                self._heard(self._current, self._current.supervisor.inherit(action.shard, action.crashed))
            elif isinstance(action, Finish):
                self._finished(crew, action)

    def _finished(self, crew: Crew, finish: Finish) -> None:
        self._exit = self._exit or finish.code
        self._killed += finish.killed
        if crew in self._old:
            self._old.remove(crew)
            self._log.event(f"generation {crew.number} has ended")
            if not self._current.supervisor.ending:
                self._exit, self._killed = os.EX_OK, 0
        if self._current.supervisor.ending and not any(one.processes for one in self._crews()):
            # A start that failed has told why, in one line.
            if self._served or self._killed or self._exit == os.EX_OK:
                count = self._killed
                how = f", {count} worker{'s' if count > 1 else ''} had to be killed" if count else ""
                self._log.event(f"stopped: exit code {self._exit}{how}")
            self._code = self._exit

    def _tick(self, now: float) -> None:
        for crew in self._crews():
            self._heard(crew, crew.supervisor.tick(now, crew.beats()))
        if now >= self._give_up_at:
            why = f"the new generation was not ready within {self._patience:g} s"
            if self._next is not None:
                self._fail(self._next, [why])
            elif self._successor is not None:
                self._on_successor(why)
        self._try()
        every = self._notify.every
        if every is not None and now >= self._alive_at:
            self._alive_at = now + every
            if self._current.supervisor.ending or self._current.supervisor.healthy(
                now, self._current.beats()
            ):
                self._notify.send("WATCHDOG=1")

    def _on_signals(self) -> None:
        try:
            numbers = self._wakeup.recv(4096)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            if self._code is not None:
                return
            if number == signal.SIGCHLD:
                self._reap()
            elif number in (signal.SIGTERM, signal.SIGINT):
                what = "killing the workers" if self._stopping else "stopping, no new connections"
                self._log.event(f"{signal.Signals(number).name}: {what}")
                self.stop()
            elif number == signal.SIGHUP:
                self._log.event("SIGHUP: reading settings and certificates again")
                self._renew(at_once=True)
                self.reload(_nobody)
            elif number == signal.SIGUSR1:
                self._reopen()
            elif number == signal.SIGUSR2:
                self.upgrade(_nobody)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self._successor is not None and pid == self._successor.pid:
                self._successor_died(self._successor, os.waitstatus_to_exitcode(status))
            else:
                any(crew.reaped(pid, status) for crew in self._crews())

    def _look_around(self) -> None:
        """Once a second."""
        if self._door is not None:
            self._door.tick()
            if self._door.lost():
                self._open_door()
        handed_over = self._successor is not None and self._successor.handed_over
        if handed_over and not self._stopping and self._maker.abandoned():
            # Our processes hold the lock of data_dir: nobody else could start.
            self._log.event("upgrade: the master that followed has ended: stopping")
            self.stop()

    def _successor_died(self, successor: Successor, code: int) -> None:
        successor.hear()  # its last words may say why
        successor.forget()
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        if successor.handed_over:
            self._log.event(f"upgrade: the new master ended by {how}")
            return
        self._on_successor(f"the new master ended by {how} before it could serve; the log says more")

    def _renew(self, *, at_once: bool) -> None:
        for renewal in self._maker.renewals(at_once):
            self._current.send_all(Message(messages.CERTIFICATE, renewal.number), renewal.file)
            os.close(renewal.file)

    def _reopen(self) -> None:
        self._log.flush()
        try:
            file = self._maker.reopen()
        except OSError as error:
            self._log.event(f"SIGUSR1: the old log stays in use: {error.filename}: {error.strerror}")
            return
        if file is not None:
            for crew in self._crews():
                crew.send_all(Message(messages.LOG), file)
            self._log.event("SIGUSR1: the log was opened anew")

    def _forked(self) -> None:
        """In a child: close what is the master's alone."""
        for crew in self._crews():
            crew.forget()
        if self._door is not None:
            self._door.forget()
        if self._successor is not None:
            self._successor.close()
        if self._predecessor is not None:
            self._predecessor.close()
        self._selector.close()
        self._wakeup.close()
        self._wakeup_in.close()


def _noted(number: int, frame: object) -> None:
    """Python calls a handler only to be done with it: the wake-up socket has brought the number."""


def _nobody(outcome: Outcome) -> None:
    """Of a signal: nobody waits for the answer, the log has it."""
