"""The server itself, by HTTP: how its webhooks are doing."""

from collections.abc import Sequence

from msgspec import Struct

from fastsmtp.web.hooks import Hook, HookStatus
from fastsmtp.web.operation import Asked, Operation


class HookList(Struct, frozen=True, kw_only=True):
    """Webhooks in the order of the settings."""

    webhooks: list[HookStatus]


class ServerApi:
    """Tells of ``hooks``."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = hooks

    def operations(self) -> list[Operation]:
        """What can be asked."""
        return [
            Operation(
                method="GET",
                path="/v1/webhooks",
                name="listWebhooks",
                group="server",
                summary="How the webhooks are doing",
                handler=self._webhooks,
                answer=HookList,
            )
        ]

    async def _webhooks(self, asked: Asked) -> HookList:
        return HookList(webhooks=[hook.status() for hook in self._hooks])
