"""The master: binds nothing and serves nobody, it only keeps the workers alive.

A plain `selectors` loop over the signals' wake-up socket and one control socket per worker. No event loop, no
thread and no LMDB environment ever exists in this process, so that forking it is safe at any time. What to do
is decided in supervisor.py; here it is done.
"""

import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence

from fastsmtp.clock import Clock
from fastsmtp.process import messages
from fastsmtp.process.messages import Birth, Message, Renewal
from fastsmtp.process.shared import Heartbeats
from fastsmtp.process.supervisor import Action, Announce, Finish, Fork, Kill, Say, Send, Supervisor
from fastsmtp.telemetry.maillog import MailLog

BEAT_CHECK = 1.0
"""Seconds between two looks at the heartbeats."""

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)


WorkerMain = Callable[[Birth], int]


class Master:
    """Runs ``worker_main`` in as many processes as ``supervisor`` asks for, until it says to finish.

    ``announce`` is called once, when all workers serve, ``stopping`` when a stop begins, ``worker_died`` with the
    slot of a worker that has ended, ``renewals`` once a second, and with true at SIGHUP, for certificates that were
    replaced: each goes to all workers. ``reopen`` is called at SIGUSR1: it opens the log's file
    anew, for all processes, gives None where there is none, and may raise OSError. Between a fork and the worker's
    own handlers all signals are blocked: a signal must not reach the child while it still writes into the master's
    wake-up socket. ``worker_main`` unblocks them once it handles SIGTERM; the others are for the master alone.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        worker_main: WorkerMain,
        *,
        beats: Heartbeats,
        clock: Clock,
        log: MailLog,
        announce: Callable[[], None],
        stopping: Callable[[], None],
        worker_died: Callable[[int], None],
        renewals: Callable[[bool], Sequence[Renewal]],
        reopen: Callable[[], int | None],
    ) -> None:
        self._supervisor = supervisor
        self._worker_main = worker_main
        self._beats = beats
        self._clock = clock
        self._log = log
        self._announce = announce
        self._stopping = stopping
        self._worker_died = worker_died
        self._renewals = renewals
        self._reopen_log = reopen
        self._pids: dict[int, int] = {}
        self._channels: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_in = socket.socketpair()

    def run(self) -> int:
        """Start the workers and look after them; returns the exit code."""
        self._wakeup.setblocking(False)
        self._wakeup_in.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._wakeup_in.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for number in _HANDLED:
            signal.signal(number, _noted)
        code = self._do(self._supervisor.start(self._clock.monotonic()))
        check_at = self._clock.monotonic() + BEAT_CHECK
        while code is None:
            self._log.flush()
            now = self._clock.monotonic()
            deadline = self._supervisor.deadline()
            until = check_at if deadline is None else min(check_at, deadline)
            for key, _ in self._selector.select(max(0.0, until - now)):
                if code is not None:
                    break
                code = self._on_signals() if key.data is None else self._on_message(key.data)
            now = self._clock.monotonic()
            if now >= check_at:
                check_at = now + BEAT_CHECK
                self._renew(at_once=False)
            if code is None:
                beats = {slot: self._beats.last(slot) for slot in self._pids}
                code = self._do(self._supervisor.tick(now, beats))
        self._log.flush()
        signal.set_wakeup_fd(-1)
        return code

    # --- what happens -------------------------------------------------------------------------

    def _on_signals(self) -> int | None:
        try:
            numbers = self._wakeup.recv(4096)
        except BlockingIOError:
            return None
        code: int | None = None
        for number in dict.fromkeys(numbers):
            if code is not None:
                break
            if number == signal.SIGCHLD:
                code = self._reap()
            elif number in (signal.SIGTERM, signal.SIGINT):
                again = self._supervisor.stopping
                what = "killing the workers" if again else "stopping, no new connections"
                self._log.event(f"{signal.Signals(number).name}: {what}")
                if not again:
                    self._stopping()
                code = self._do(self._supervisor.stop(self._clock.monotonic()))
            elif number == signal.SIGHUP:
                self._log.event("SIGHUP: reading certificates again; restart to read other settings again")
                self._renew(at_once=True)
            elif number == signal.SIGUSR1:
                self._reopen()
        return code

    def _on_message(self, slot: int) -> int | None:
        channel = self._channels.get(slot)
        if channel is None:
            return None
        try:
            data = channel.recv(messages.MAX_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:  # the worker is on its way out; SIGCHLD tells how
            self._selector.unregister(channel)
            channel.close()
            del self._channels[slot]
            return None
        message = messages.decode(data)
        now = self._clock.monotonic()
        if message.verb == messages.READY:
            self._log.event(f"worker {slot} (pid {self._pids.get(slot)}) ready")
            return self._do(self._supervisor.ready(slot, now))
        if message.verb == messages.ADOPTED:
            self._log.event(f"worker {slot} has adopted spool shard {message.slot}")
            return None
        return self._do(self._supervisor.released(message.slot, slot, now))

    def _reap(self) -> int | None:
        code: int | None = None
        for slot, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._pids[slot]
            self._close_channel(slot)
            self._worker_died(slot)
            exit_code = os.waitstatus_to_exitcode(status)
            now = self._clock.monotonic()
            done = self._do(self._supervisor.died(slot, now, max(exit_code, 0), max(-exit_code, 0)))
            code = done if code is None else code
        return code

    def _close_channel(self, slot: int) -> None:
        channel = self._channels.pop(slot, None)
        if channel is None:
            return
        # A last word may still lie there ("released"), but its sender's death says the same.
        self._selector.unregister(channel)
        channel.close()

    # --- what is done -------------------------------------------------------------------------

    def _do(self, actions: Sequence[Action]) -> int | None:
        for action in actions:
            if isinstance(action, Fork):
                code = self._fork(action.slot, action.crashed)
                if code is not None:
                    return code
            elif isinstance(action, Send):
                self._send(action.slot, action.message)
            elif isinstance(action, Kill):
                self._kill(action.slot, action.number)
            elif isinstance(action, Say):
                self._log.event(action.text)
            elif isinstance(action, Announce):
                self._announce()
            elif isinstance(action, Finish):
                return action.code
        return None

    def _fork(self, slot: int, crashed: bool) -> int | None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.setblocking(False)
        self._beats.beat(slot, self._clock.monotonic())
        master = os.getpid()
        self._log.flush()
        _flush_streams()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            ours.close()
            theirs.close()
            self._log.event(f"cannot start worker {slot}: {error.strerror}")
            return self._do(self._supervisor.died(slot, self._clock.monotonic(), os.EX_OSERR, 0))
        if pid == 0:
            self._become_worker(ours, Birth(slot, theirs, master, crashed))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._pids[slot] = pid
        self._channels[slot] = ours
        self._selector.register(ours, selectors.EVENT_READ, slot)
        return None

    def _become_worker(self, ours: socket.socket, birth: Birth) -> None:
        """The child's life: it never returns into the master's frames."""
        code = os.EX_SOFTWARE
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN)
            ours.close()
            for channel in self._channels.values():
                channel.close()
            self._selector.close()
            self._wakeup.close()
            self._wakeup_in.close()
            code = self._worker_main(birth)
        except BaseException:
            # A fault of ours, not of the settings or the machine: here the traceback is what is wanted.
            traceback.print_exc()
        finally:
            _flush_streams()
            os._exit(code)

    def _send(self, slot: int, message: Message, file: int | None = None) -> None:
        channel = self._channels.get(slot)
        if channel is None:
            return
        try:
            socket.send_fds(channel, [message.encode()], [] if file is None else [file])
        except OSError as error:
            self._log.event(f"cannot tell worker {slot} to {message.verb} {message.slot}: {error.strerror}")

    def _renew(self, *, at_once: bool) -> None:
        for renewal in self._renewals(at_once):
            message = Message(messages.CERTIFICATE, renewal.number)
            for slot in list(self._channels):
                self._send(slot, message, renewal.file)
            os.close(renewal.file)

    def _reopen(self) -> None:
        self._log.flush()
        try:
            file = self._reopen_log()
        except OSError as error:
            self._log.event(f"SIGUSR1: the old log stays in use: {error.filename}: {error.strerror}")
            return
        if file is not None:
            for slot in list(self._channels):
                self._send(slot, Message(messages.LOG), file)
            self._log.event("SIGUSR1: the log was opened anew")

    def _kill(self, slot: int, number: signal.Signals) -> None:
        pid = self._pids.get(slot)
        if pid is not None:
            os.kill(pid, number)


def _noted(number: int, frame: object) -> None:
    """Python calls a handler only to be done with it: the wake-up socket has brought the number."""


def _flush_streams() -> None:
    """What is buffered must leave once, not once per process; a stream may be closed or absent."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass
