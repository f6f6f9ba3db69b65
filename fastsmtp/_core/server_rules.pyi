from typing_extensions import disjoint_base

@disjoint_base
class CompiledRules:
    """See the head of server_rules.pxd."""

    def __init__(self, rules: object) -> None: ...
