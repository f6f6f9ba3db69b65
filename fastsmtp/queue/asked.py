"""What people ask of the queue for other hosts: an attempt now, an end, what they have done to its mail."""

import asyncio
from collections.abc import Callable, Sequence

from fastsmtp.clock import Clock
from fastsmtp.queue.hand import Box, Hand
from fastsmtp.queue.judging import Judge
from fastsmtp.queue.letters import RemoteMail, given_up, requiretls
from fastsmtp.queue.placing import Placer
from fastsmtp.queue.suspects import Suspects
from fastsmtp.queue.ways import Ways
from fastsmtp.spool.rows import AT_ONCE
from fastsmtp.spool.waiting import Waiting

_SAME = 1.0
"""Seconds by which queue time may differ from the clock's before it matters."""
_AT_ONCE = 50
LAST_WORDS = 5.0
"""Seconds for the spool to take results."""


class Asked:
    """``queued_at`` gives the queue time of mail that came at a time of the clock; ``retry`` ends the pause of a
    site; ``settled`` is told of mail that waits and is in the index; ``opened``, that something may wait now."""

    def __init__(
        self,
        box: Box,
        hand: Hand,
        ways: Ways,
        clock: Clock,
        *,
        judge: Judge,
        placer: Placer,
        suspects: Suspects,
        queued_at: Callable[[float], float],
        retry: Callable[[str], None],
        settled: Callable[[RemoteMail], None],
        opened: Callable[[], None],
    ) -> None:
        self._box = box
        self._hand = hand
        self._ways = ways
        self._clock = clock
        self._judge = judge
        self._placer = placer
        self._suspects = suspects
        self._queued_at = queued_at
        self._retry = retry
        self._settled = settled
        self._opened = opened

    async def hurry(self, queue_ids: Sequence[str]) -> None:
        """End the pauses of the sites that these wait for, once what they come to is stored: it is read from there
        when the site has room."""
        await self._stored(queue_ids)
        sites = set()
        for number, queue_id in enumerate(queue_ids, 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # everything else on the loop has its turn
            envelope, waiting = self._box.load(queue_id) or (None, None)
            if envelope is not None and waiting is not None:
                encrypted = requiretls(envelope)
                ways = [
                    self._ways.way(envelope.recipients[each.number].address, encrypted, waiting.hops)
                    for each in waiting.rcpts
                ]
                sites.update([self._ways.site(way) for way in ways if isinstance(way, tuple)])
        for site in sites:
            if site is not None:
                self._retry(site)

    async def give_up(self, queue_ids: Sequence[str]) -> list[str]:
        """Let these fail for all whose turn it is not at this moment: those it was done to, once their senders are
        told and it is stored, or storage has had its time. What was not tried yet is left alone."""
        known = [self._hand.mails.get(one) for one in queue_ids]
        self._placer.withdraw({mail for mail in known if mail is not None and mail.stored})
        done: list[str] = []
        for queue_id in queue_ids:
            mail = self._hand.take(queue_id)
            if mail is None:
                continue
            results = [
                given_up(number, state) for number, state in mail.left.items() if number not in mail.busy
            ]
            if results:
                done.append(queue_id)
                self._judge.judge(mail, results)
            else:
                self._hand.release(mail)
        await self._stored(done)
        return done

    def changed(self, ids: Sequence[str]) -> None:
        """An operator has held, released, hurried, rerouted or removed these."""
        elsewhere = set()
        for queue_id in ids:
            mail = self._hand.mails.get(queue_id)
            if mail is None and self._box.is_held(queue_id):
                continue  # it has nothing to begin, and there may be very many
            found = self._box.load(queue_id)
            waiting = None if found is None else found[1]
            if waiting is not None and not waiting.held:
                self._suspects.released(queue_id)
            if mail is None:
                mail = None if found is None else self._hand.take(queue_id, found)
            elif found is None:
                mail.held = True  # it is gone: nothing more is begun for it
            elif waiting is not None:
                if mail.hops != waiting.hops:
                    elsewhere.add(mail)
                if mail.sync(waiting):
                    self._hand.touch(mail)
            if mail is not None and waiting is not None:
                self._put_right(mail, waiting)
                if not waiting.held:
                    self._settled(mail)
            if mail is not None:
                self._hand.release(mail)
        self._placer.recall(elsewhere)
        self._opened()

    def _put_right(self, mail: RemoteMail, row: Waiting) -> None:
        """An operator's change of fresh mail has stored its age by the clock: store it in queue time. What is to be
        tried before the time its sender set is no older than if it came now."""
        wall = self._clock.now()
        now = self._queued_at(wall)
        if row.due() == AT_ONCE and mail.queued_at > now:
            mail.queued_at = now
            self._hand.touch(mail)
        received_at = mail.envelope.received_at
        if row.queued_at == received_at and not any(state.tries for state in row.rcpts):
            if not row.due() and mail.hold_back(wall, now):
                self._hand.touch(mail)
                return
            if mail.queued_at == received_at:
                mail.queued_at = self._queued_at(received_at)
            if abs(mail.queued_at - received_at) > _SAME:
                self._hand.touch(mail)

    async def _stored(self, queue_ids: Sequence[str]) -> None:
        """Until what is known of these is on disk, or storage has had its time."""
        await asyncio.sleep(0)
        await until(
            self._clock,
            lambda: not any(mail.unsettled for one in queue_ids if (mail := self._hand.mails.get(one))),
            LAST_WORDS,
        )


async def until(clock: Clock, true: Callable[[], bool], limit: float) -> None:
    """Wait until that is so, ``limit`` seconds at most."""
    deadline = clock.monotonic() + limit
    while not true() and clock.monotonic() < deadline:
        await asyncio.sleep(0.02)
