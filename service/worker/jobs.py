"""The jobs: an id in, everything else from the database. All end well whatever they find; the ringer rings again."""

import os
from contextlib import suppress
from dataclasses import replace
from functools import cache

import jwt
import structlog
from sqlalchemy.orm import configure_mappers

from service.github.app_tokens import app_jwt
from service.github.client import GitHubClients
from service.github.errors import GitHubUnavailable
from service.parts import Parts, make_parts
from service.settings import Settings
from service.stages.planning import make_plan
from service.stages.reconcile import reconcile
from service.stages.sources import resolve
from service.stages.teller import tell_or_put_off
from service.stages.unheard import find_unheard
from service.worker.warmth import WARM_DOOR_VARIABLE
from stagedoor.errors import UserError

log = structlog.get_logger(__name__)


@cache
def _parts() -> tuple[Parts, GitHubClients]:
    """Make this process's parts. Nothing in them has connected: connections do not survive a fork."""
    settings = Settings()
    door = os.environ.get(WARM_DOOR_VARIABLE)
    return replace(make_parts(settings), warm_door=int(door) if door else None), GitHubClients(settings)


def make_ready() -> None:
    """Do once, in the process that forks for each job, what each job would do anew; nothing connects.

    That is a quarter of what a short job costs: the database's driver is imported, the models' mappers are configured,
    the App's private key is read. What cannot be read is told by the job that needs it.
    """
    configure_mappers()
    with suppress(UserError, jwt.PyJWTError, ValueError, TypeError):
        settings = _parts()[0].settings
        app_jwt(settings.github_app_id, settings.private_key, now=0)


def resolve_source(source_id: int) -> None:
    """Ask GitHub what is true of a pull request or branch, write down what follows, and tell."""
    parts, github = _parts()
    try:
        resolve(parts.sessions, github, source_id, fork_synth=parts.settings.fork_synth)
    except GitHubUnavailable as trouble:
        log.warning("GitHub cannot be asked", source_id=source_id, error=str(trouble))
        return
    except Exception:
        log.exception("a source could not be resolved; it is tried again later", source_id=source_id)
        return
    tell_or_put_off(parts, github, source_id)


def find_unheard_pulls(repository_id: int) -> None:
    """Look for pull requests of a repository that no webhook told of."""
    parts, github = _parts()
    try:
        found = find_unheard(parts.sessions, github, repository_id)
        log.info("searched for what no webhook told", repository_id=repository_id, found=found)
    except Exception as trouble:
        log.warning("a repository could not be searched", repository_id=repository_id, error=str(trouble))


def plan_stage(plan_id: int) -> None:
    """Make a plan that somebody asked for, unless somebody is at it."""
    parts, github = _parts()
    make_plan(parts, github, plan_id)


def reconcile_stage(stage_id: int) -> None:
    """Make a stage what it should be, unless somebody is at it."""
    parts, github = _parts()
    reconcile(parts, github, stage_id)
