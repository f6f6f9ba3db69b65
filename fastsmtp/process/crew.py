"""The processes of one generation: forked, spoken to and reaped as its supervisor decides."""

import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fastsmtp.clock import Clock
from fastsmtp.process import messages
from fastsmtp.process.actions import Action, Fork, Kill, Say, Send
from fastsmtp.process.messages import Birth, Message
from fastsmtp.process.shared import Heartbeats, Rows
from fastsmtp.process.supervisor import Supervisor
from fastsmtp.telemetry.maillog import MailLog

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)
"""Those that the master handles."""


class Generation(NamedTuple):
    """What a generation is: its ``number``, counted from 1 over reloads and upgrades; ``main`` is the life of each of
    its processes, in it; sessions of it may go on for ``patience`` seconds when another has followed."""

    number: int
    supervisor: Supervisor
    main: Callable[[Birth], int]
    patience: float = 0.0


class Process(NamedTuple):
    """One that lives."""

    pid: int
    channel: socket.socket
    row: int


class Crew:
    """The processes of ``generation``. ``selector`` calls what it is given as data when a channel can be read;
    ``forked`` is called in each child and closes what is the master's alone; ``ended`` gets the row of a process that
    has ended, and whether it did so by itself."""

    def __init__(
        self,
        generation: Generation,
        *,
        rows: Rows,
        beats: Heartbeats,
        clock: Clock,
        log: MailLog,
        selector: selectors.BaseSelector,
        forked: Callable[[], None],
        ended: Callable[[int, bool], None],
        heard: "Callable[[Crew, Sequence[Action]], None]",
    ) -> None:
        self.number = generation.number
        self.supervisor = generation.supervisor
        self.patience = generation.patience
        self.processes: dict[int, Process] = {}
        self._main = generation.main
        self._rows = rows
        self._beats = beats
        self._clock = clock
        self._log = log
        self._selector = selector
        self._forked = forked
        self._ended = ended
        self._heard = heard

    def do(self, actions: Sequence[Action]) -> list[Action]:
        """Carry out what is a process's matter; returns the rest."""
        rest: list[Action] = []
        for action in actions:
            if isinstance(action, Fork):
                rest += self._fork(action)
            elif isinstance(action, Send):
                self.send(action.place, action.message)
            elif isinstance(action, Kill):
                self._kill(action.place, action.number)
            elif isinstance(action, Say):
                self._log.event(action.text)
            else:
                rest.append(action)
        return rest

    def beats(self) -> dict[int, float]:
        """When the heart of each process beat last, in seconds of the monotonic clock."""
        return {index: self._beats.last(process.row) for index, process in self.processes.items()}

    def send(self, index: int, message: Message, file: int | None = None) -> None:
        """Send a message to a process, with an open file if it has one."""
        process = self.processes.get(index)
        if process is None:
            return
        try:
            socket.send_fds(process.channel, [message.encode()], [] if file is None else [file])
        except OSError as error:
            name = self.supervisor.names()[index]
            self._log.event(f"cannot tell {name} to {message.verb} {message.number}: {error.strerror}")

    def send_all(self, message: Message, file: int | None = None) -> None:
        """Send it to all processes that live."""
        for index in list(self.processes):
            self.send(index, message, file)

    def reaped(self, pid: int, status: int) -> bool:
        """A child of the master has ended; false: it is none of this generation."""
        index = next((index for index, one in self.processes.items() if one.pid == pid), None)
        if index is None:
            return False
        process = self.processes.pop(index)
        self._hear_last(index, process.channel)
        exit_code = os.waitstatus_to_exitcode(status)
        self._ended(process.row, exit_code == 0)
        self._rows.give_back(process.row)
        now = self._clock.monotonic()
        self._heard(self, self.supervisor.died(index, now, max(exit_code, 0), max(-exit_code, 0)))
        return True

    def forget(self) -> None:
        """In a child: close what is the master's."""
        for process in self.processes.values():
            process.channel.close()

    # --- inside -------------------------------------------------------------------------------

    def _fork(self, action: Fork) -> list[Action]:
        index = action.place
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.setblocking(False)
        shards = self.supervisor.shards()
        row = self._rows.take()
        self._beats.beat(row, self._clock.monotonic())
        master = os.getpid()
        self._log.flush()
        flush_streams()
        # A signal must not reach the child while it still writes into the master's wake-up socket.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            ours.close()
            theirs.close()
            self._rows.give_back(row)
            self._log.event(f"cannot start {self.supervisor.names()[index]}: {error.strerror}")
            return self.do(self.supervisor.died(index, self._clock.monotonic(), os.EX_OSERR, 0))
        if pid == 0:
            slot = shards[index] if index < len(shards) else -1
            self._become(ours, Birth(slot, theirs, master, action.crashed, row, index, action.waits))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.processes[index] = Process(pid, ours, row)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._on_message(index, ours))
        return []

    def _become(self, ours: socket.socket, birth: Birth) -> None:
        """The child's life: it never returns into the master's frames."""
        code = os.EX_SOFTWARE
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(number, signal.SIG_IGN)
            ours.close()
            self._forked()
            code = self._main(birth)
        except BaseException:
            # A fault of ours, not of the settings or the machine: here the traceback is what is wanted.
            traceback.print_exc()
        finally:
            flush_streams()
            os._exit(code)

    def _kill(self, index: int, number: signal.Signals) -> None:
        process = self.processes.get(index)
        if process is not None:
            os.kill(process.pid, number)

    def _close(self, channel: socket.socket) -> None:
        self._selector.unregister(channel)
        channel.close()

    def _hear_last(self, index: int, channel: socket.socket) -> None:
        """Why a dead process could not start; what else it may have said ("released"), its death says too."""
        if channel.fileno() < 0:
            return
        try:
            while data := channel.recv(messages.MAX_SIZE):
                if (message := messages.decode(data)).verb == messages.FAILED:
                    self.supervisor.explained(index, message.text)
        except OSError:
            pass
        self._close(channel)

    def _on_message(self, index: int, channel: socket.socket) -> None:
        if channel.fileno() < 0:  # its process was reaped in the same turn
            return
        try:
            data = channel.recv(messages.MAX_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # the process is on its way out; SIGCHLD tells how
            self._close(channel)
            return
        self._heard(self, self._said(index, messages.decode(data)))

    def _said(self, index: int, message: Message) -> Sequence[Action]:
        supervisor, now, shard = self.supervisor, self._clock.monotonic(), message.number
        name = supervisor.names()[index]
        if message.verb == messages.READY:
            process = self.processes.get(index)
            self._log.event(f"{name} (pid {process.pid if process else 0}) ready")
            return supervisor.ready(index, now)
        if message.verb == messages.FAILED:
            return supervisor.explained(index, message.text)
        if message.verb == messages.ADOPTED:
            self._log.event(f"{name} has adopted spool shard {shard}")
            return []
        if message.verb == messages.REFUSED:
            return supervisor.refused(shard, now)
        if message.verb == messages.EMPTIED:
            return supervisor.emptied(shard, index)
        return supervisor.released(shard, index, now)


def flush_streams() -> None:
    """What is buffered must leave once, not once per process; a stream may be closed or absent."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass
