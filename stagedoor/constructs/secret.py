"""A secret: set by people, read by code, in no template."""

from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.grants.parameter import stored_binding
from stagedoor.constructs.stage import stage_of

FALLBACK = "_fallback"
"""The folder beside those of the stages whose values hold where a stage has none of its own."""


class Secret(Construct):
    """A secret that somebody sets for a stage, or for all stages.

        Secret(stack, "StripeKey")

    `stagedoor secrets set StripeKey` sets it, and `stagedoor deploy` asks that it is set. It is encrypted in the
    parameter store of Systems Manager; no template has it and no resource is made of it. Code that is bound to it has
    `Secret.StripeKey.value`.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        tell(self.binding)

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: to read it."""
        return stored_binding("Secret", self, *stored_names(self), {})

    def read(self) -> Binding:
        """Bind for reading."""
        return self.binding


def stored_names(construct: Construct) -> tuple[str, str]:
    """Return the names in the parameter store that hold for a construct: its stage's own, and that of all stages."""
    stage = stage_of(construct)
    name = construct.node.id
    return f"{stage.parameters}/{stage.name}/{name}", f"{stage.parameters}/{FALLBACK}/{name}"
