"""A setting that people change without a deploy."""

from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.grants.parameter import stored_binding
from stagedoor.constructs.secret import stored_names


class Parameter(Construct):
    """A value that somebody sets for a stage, or for all stages, and that is no secret.

        Parameter(stack, "Greeting", default="Hello")

    It is kept and read as a `Secret` is, in plain text. With a `default` nobody has to set it; that one is in the
    template. Code that is bound to it has `Parameter.Greeting.value`.
    """

    def __init__(self, scope: Construct, construct_id: str, *, default: str | None = None) -> None:
        super().__init__(scope, construct_id)
        self._default = default
        tell(self.binding)

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: to read it."""
        more = {} if self._default is None else {"default": self._default}
        return stored_binding("Parameter", self, *stored_names(self), more)

    def read(self) -> Binding:
        """Bind for reading."""
        return self.binding
