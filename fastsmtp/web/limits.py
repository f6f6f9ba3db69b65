"""Who comes up against the limits, by HTTP."""

from msgspec import Struct

from fastsmtp.limits.standing import Standing
from fastsmtp.web.hub import HubApi
from fastsmtp.web.operation import Asked, Operation
from fastsmtp.web.problem import Problem

_LONGEST = 400


class Standings(Struct, frozen=True, kw_only=True):
    """How somebody stands before each rule."""

    rules: list[Standing]


class LimitApi(HubApi):
    """Answers by any worker, as all share the counters."""

    def operations(self) -> list[Operation]:
        """What can be asked."""
        return [
            Operation(
                method="GET",
                path="/v1/limits",
                name="listRefused",
                group="limits",
                summary="List who was refused lately, the latest first",
                handler=self._refused,
                answer=Standings,
            ),
            Operation(
                method="GET",
                path="/v1/limits/{key}",
                name="explainLimits",
                group="limits",
                summary="Show how an address, an account or a domain stands before each rule",
                handler=self._explain,
                answer=Standings,
                errors=(422,),
            ),
            Operation(
                method="DELETE",
                path="/v1/limits/{key}",
                name="resetLimits",
                group="limits",
                summary="Let an address, an account or a domain begin anew; how it stood",
                handler=self._reset,
                answer=Standings,
                errors=(422,),
            ),
        ]

    async def _refused(self, asked: Asked) -> Standings:
        return await self._ask("limits.refused", None)

    async def _explain(self, asked: Asked) -> Standings:
        return await self._ask("limits.explain", _key(asked))

    async def _reset(self, asked: Asked) -> Standings:
        return await self._ask("limits.reset", _key(asked))

    async def _ask(self, verb: str, argument: str | None) -> Standings:
        return Standings(rules=await self._hub.any(verb, argument, list[Standing]))


def _key(asked: Asked) -> str:
    key = asked.path["key"]
    if len(key) > _LONGEST:
        raise Problem(422, "expected an address, an account or a domain")
    return key
