"""Whose secrets a command is about. The folder that an app's secrets are in depends on how its repository is known:
to this machine by the address of its remote, to a deployment service by an id at GitHub. A stage's stacks bear it.
"""

import re
from collections.abc import Iterable

from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.deployed_stage import deployed_stages
from stagedoor.cli.stage import OWNER
from stagedoor.deploy.stacks import ActualStack
from stagedoor.errors import UserError

_PULL_REQUEST = re.compile(r"pr-\d+")


class WhoseSecrets(UserError):
    """Nothing says whose stage is meant, or there are several."""

    id = "whose-secrets"


def repository_of_values(stacks: Iterable[ActualStack], app: AppFolder, stage: str | None) -> str:
    """Return the repository that the secrets of a stage belong to; of all stages where it is None.

    A stage that is not there yet is this machine's, a pull request's excepted; where there are stages of this machine
    and of services, this machine's are meant. Raises `WhoseSecrets`.
    """
    stages = [one for one in deployed_stages(stacks, app) if stage in (None, one.name)]
    found = {one.repository for one in stages}
    local = {one.repository for one in stages if one.owner == OWNER}
    if local or not found:
        if not local and stage and _PULL_REQUEST.fullmatch(stage):
            raise WhoseSecrets(
                f"The stage {stage} is not there yet, so nothing says which service will deploy it.",
                "Name the repository as the service knows it: --repository github.com/<id>; its refusal says so, too.",
            )
        return app.repository.id
    if len(found) > 1:
        raise WhoseSecrets(
            f"{app.name} has stages in this account that know its repository by different ids: "
            f"{', '.join(sorted(found))}.",
            "Name one of them with --repository.",
        )
    return found.pop()
