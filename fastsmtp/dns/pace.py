"""Keeps a crowd from having the loop to itself: so many pieces of work in each of its turns, and the rest later."""

import asyncio
from collections import deque


class Pace:
    """``each`` pieces of work in a turn of the loop; used by one loop."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._left = each
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._armed = False

    async def turn(self) -> None:
        """Return when there is room for one more piece: at once, unless there is a crowd. First come, first
        served."""
        loop = asyncio.get_running_loop()
        if not self._armed:
            self._armed = True
            loop.call_soon(self._next, loop)
        if self._left:
            self._left -= 1
            return
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiter)
        await waiter

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._each
        while self._left and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._left -= 1
        self._armed = self._left < self._each
        if self._armed:
            loop.call_soon(self._next, loop)
