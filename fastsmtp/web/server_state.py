"""The server itself, by HTTP: its processes, its settings read again, and how its webhooks are doing."""

from collections.abc import Sequence

from msgspec import Struct

from fastsmtp.control.master import PATIENCE, SOCKET, Outcome, Status
from fastsmtp.control.web import HookStatus
from fastsmtp.web.hooks import Hook
from fastsmtp.web.hub import Hub
from fastsmtp.web.operation import Asked, Operation
from fastsmtp.web.problem import Problem

_GROUP = "server"


class HookList(Struct, frozen=True, kw_only=True):
    """Webhooks in the order of the settings."""

    webhooks: list[HookStatus]


class ServerApi:
    """Asks the master by ``hub``, and tells of ``hooks``."""

    def __init__(self, hub: Hub, hooks: Sequence[Hook]) -> None:
        self._hub = hub
        self._hooks = hooks

    def operations(self) -> list[Operation]:
        """What can be asked."""
        return [
            Operation(
                method="GET",
                path="/v1/status",
                name="status",
                group=_GROUP,
                summary="The server's processes, listeners and sessions, and what came of its last reload",
                handler=self._status,
                answer=Status,
            ),
            Operation(
                method="POST",
                path="/v1/reload",
                name="reload",
                group=_GROUP,
                summary="Read the settings again; what is new in them",
                about="The answer comes when new connections meet the new settings. A file that cannot be used is "
                "refused with 409 and the reasons, and the server runs on as it was.",
                handler=self._reload,
                answer=Outcome,
                errors=(409,),
            ),
            Operation(
                method="GET",
                path="/v1/webhooks",
                name="listWebhooks",
                group=_GROUP,
                summary="How the webhooks are doing",
                handler=self._webhooks,
                answer=HookList,
            ),
        ]

    async def _status(self, asked: Asked) -> Status:
        found: Status = await self._hub.named(SOCKET, "status", Status)
        return found

    async def _reload(self, asked: Asked) -> Outcome:
        outcome: Outcome = await self._hub.named(SOCKET, "reload", Outcome, patience=PATIENCE)
        if not outcome.done:
            raise Problem(409, "; ".join(outcome.lines), more={"lines": outcome.lines})
        return outcome

    async def _webhooks(self, asked: Asked) -> HookList:
        return HookList(webhooks=[hook.status() for hook in self._hooks])
