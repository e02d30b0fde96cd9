"""Which stage a construct belongs to, as whoever runs the app's program says it."""

import os
from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from constructs import Construct

METADATA = "stagedoor:stage"
"""What a construct that asked for its stage says in the assembly (`stagedoor.assembly.resources` reads it): what it
made of the answer would be wrong in another stage."""

DEFAULT_STAGE = "dev"
"""The stage of an app that is run by `cdk synth`, which knows of none."""


@dataclass(frozen=True, slots=True)
class StageInfo:
    """A stage as constructs see it.

    `lasting` stages keep their data when they are removed, and are protected. `parameters` is the app's folder in the
    parameter store, where its secrets are.
    """

    name: str
    lasting: bool
    parameters: str

    @property
    def is_preview(self) -> bool:
        """Whether it was born from a pull request: `pr-<number>`."""
        kind, _, number = self.name.partition("-")
        return kind == "pr" and number.isdecimal()

    @property
    def removal_policy(self) -> RemovalPolicy:
        """What becomes of data when its resource or its stage goes."""
        return RemovalPolicy.RETAIN if self.lasting else RemovalPolicy.DESTROY


def stage_of(scope: Construct) -> StageInfo:
    """Return the stage that a construct of any CDK app belongs to.

    Stagedoor tells the program by its environment (`STAGEDOOR_STAGE`, …) and its context (`stagedoor:stage`).
    """
    told = scope.node.try_get_context("stagedoor:stage") or os.environ.get("STAGEDOOR_STAGE")
    name = str(told or DEFAULT_STAGE)
    scope.node.add_metadata(METADATA, name)
    return StageInfo(
        name,
        lasting=os.environ.get("STAGEDOOR_LASTING") == "1",
        parameters=os.environ.get("STAGEDOOR_PARAMETERS") or "/stagedoor/app",
    )
