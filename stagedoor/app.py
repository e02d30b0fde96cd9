"""A CDK app and its stacks that know their stage.

    app = App("shop")
    stack = Stack(app, "Api")
    Table(stack, "Notes", partition_key="id")
    app.synth()

Both are aws-cdk-lib's own classes with more in them: any construct goes in, and they go anywhere that those go.
"""

from typing import Any, cast

import aws_cdk
from aws_cdk import CfnOutput
from constructs import Construct

from stagedoor.constructs.defaults import FunctionDefaults, set_defaults
from stagedoor.constructs.stage import METADATA, StageInfo, stage_of


class _KnowsItsStage:
    """What an app and its stacks say of their stage."""

    _info: StageInfo

    @property
    def stage(self) -> str:
        """The stage's name: `prod`, `dev`, `pr-123`; `dev` when nobody says."""
        return self._info.name

    @property
    def is_preview(self) -> bool:
        """Whether this stage was born from a pull request."""
        return self._info.is_preview

    @property
    def is_lasting(self) -> bool:
        """Whether this stage keeps its data, as `prod` does."""
        return self._info.lasting


class App(_KnowsItsStage, aws_cdk.App):
    """A CDK app that knows its stage.

    `name` is for people. `defaults` are those of its functions. In stages that are to last, the data of our constructs
    stay when a stack goes, and stacks are protected from deletion; in all others everything goes with the stage: what
    aws-cdk-lib's constructs would keep is taken care of by Stagedoor's deploy (docs/assembly.md).

        app = App("shop", defaults=FunctionDefaults(memory=512))
        Stack(app, "Api")
        app.synth()
    """

    def __init__(self, name: str = "", *, defaults: FunctionDefaults | None = None, **cdk: Any) -> None:
        super().__init__(**cdk)
        self.name = name
        self._info = stage_of(self)
        set_defaults(self, defaults or FunctionDefaults())

    @property
    def info(self) -> StageInfo:
        """All that is known of the stage."""
        return self._info


class Stack(_KnowsItsStage, aws_cdk.Stack):
    """A stack that knows its stage.

        stack = Stack(app, "Api")
        stack.output("Url", api.url)

    `cdk` are what `aws_cdk.Stack` takes.
    """

    def __init__(self, scope: Construct, construct_id: str, **cdk: Any) -> None:
        self._info = stage_of(scope)
        super().__init__(scope, construct_id, **{"termination_protection": self._info.lasting, **cdk})
        self.node.add_metadata(METADATA, self._info.name)  # its protection is the stage's

    def output(self, name: str, value: str, *, description: str | None = None) -> None:
        """Tell a value of the deployed stack under a name: it is shown after a deploy and in the pull request."""
        outputs = self.node.try_find_child("StagedoorOutputs") or Construct(self, "StagedoorOutputs")
        # In a scope of its own, so that an output may be called as a construct is.
        CfnOutput(cast(Construct, outputs), name, value=value, description=description).override_logical_id(name)
