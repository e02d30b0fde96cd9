"""Functions of Stagedoor's own that CloudFormation calls during a deploy (`on_deploy/`)."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stagedoor.constructs import on_deploy
from stagedoor.constructs.execution_role import execution

_FOLDER = "stagedoor/constructs/on_deploy"


class Provider(Construct):
    """A function that answers CloudFormation; `module` is one of `on_deploy/`'s, `seconds` how long it may take.

    A custom resource is to depend on it, so that it may still do what `statements` allow when it is asked to delete.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        module: str,
        statements: Iterable[iam.PolicyStatement],
        seconds: int,
        memory: int = 256,
    ) -> None:
        super().__init__(scope, construct_id)
        made = execution(self)
        for statement in statements:
            made.role.add_to_policy(statement)
        with tempfile.TemporaryDirectory() as folder:
            inside = Path(folder, _FOLDER)
            inside.mkdir(parents=True)
            for file in sorted(Path(on_deploy.__file__).parent.glob("*.py")):
                shutil.copyfile(file, inside / file.name)
            self.function = lambda_.Function(
                self,
                "Function",
                runtime=lambda_.Runtime.PYTHON_3_13,
                handler=f"{_FOLDER}/{module}.handle",
                code=lambda_.Code.from_asset(folder),
                memory_size=memory,
                timeout=Duration.seconds(seconds),
                role=made.role,
                log_group=made.log_group,
                # CloudFormation does not wait for what Lambda tries again.
                retry_attempts=0,
            )
