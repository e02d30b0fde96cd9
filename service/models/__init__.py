"""The tables. SQL is the truth: what is not in here did not happen.

Every id of GitHub's is keyed by its host, since two GitHub servers number alike. Times are UTC. Rows that say what
happened (intents, runs, steps, audit) are appended and never rewritten. Read `wanted.py` first, then `done.py`;
docs/data-model.md has the picture.
"""

from service.models.base import Base, Id, Json, UtcDateTime, by_value
from service.models.callers import MachineToken, UsedJti
from service.models.done import AssemblyRow, ContextValue, Outcome, PlanRow, Run, RunKind, RunStep, StageStack, Told
from service.models.github import Delivery, GitHubHost, Installation, Repository
from service.models.later import Secret
from service.models.live import Invocation, LiveFunction, Session
from service.models.operators import Audit, Grant, Limit, ServiceIdentity, TargetRow
from service.models.wanted import App, Approval, ApprovalState, Intent, Source, SourceKind, Stage, StageKind, Want

__all__ = [
    "App",
    "Approval",
    "ApprovalState",
    "AssemblyRow",
    "Audit",
    "Base",
    "ContextValue",
    "Delivery",
    "GitHubHost",
    "Grant",
    "Id",
    "Installation",
    "Intent",
    "Invocation",
    "Json",
    "Limit",
    "LiveFunction",
    "MachineToken",
    "Outcome",
    "PlanRow",
    "Repository",
    "Run",
    "RunKind",
    "RunStep",
    "Secret",
    "ServiceIdentity",
    "Session",
    "Source",
    "SourceKind",
    "Stage",
    "StageKind",
    "StageStack",
    "TargetRow",
    "Told",
    "UsedJti",
    "UtcDateTime",
    "Want",
    "by_value",
]
