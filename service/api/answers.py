"""What the API gives out."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.github.messages import StageState
from service.models import Outcome, RunKind, StageKind
from stagedoor.target import Trust

OWN = "own"
Outputs = dict[str, dict[str, str]]
Next = Annotated[str | None, Field(description="Where the next page begins; null on the last one")]
State = Annotated[
    str,
    Field(
        description="How the stage is; `own` is one that its developer deploys",
        json_schema_extra={"enum": [*(state.value for state in StageState), OWN]},
    ),
]


class Answer(BaseModel):
    """A JSON document that goes out. More may be added to it at any time; nothing is taken out within a version."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class ErrorAnswer(Answer):
    """Why a run failed."""

    id: str
    what: str
    remedy: str
    detail: str = ""
    location: Annotated[
        dict[str, Any] | None, Field(description="Where in the repository: `path`, `line`, `column`")
    ] = None


class RunAnswer(Answer):
    """One attempt to deploy or remove a stage."""

    id: int
    stage: Annotated[int, Field(description="The id of its stage")]
    stage_name: str
    app: str
    kind: RunKind
    generation: int
    commit: str | None
    assembly: Annotated[int | None, Field(description="The assembly that it deployed, where that was kept")]
    cause: Annotated[str, Field(description="Why: opened, pushed, requested, rolled-back, …")]
    actor: str
    phase: str
    outcome: Annotated[Outcome | None, Field(description="null while it is under way")]
    waits_for: Annotated[str | None, Field(description="What it waits for, where it does")]
    cancel_requested: bool
    error: ErrorAnswer | None
    warnings: list[Any]
    seconds: Annotated[dict[str, float], Field(description="By phase")]
    started_at: datetime
    finished_at: datetime | None
    page: Annotated[str, Field(description="Where people read its log")]


class StageAnswer(Answer):
    """A stage as it is."""

    id: int
    name: str
    app: str
    repository: str
    kind: StageKind
    owner: Annotated[str, Field(description="Whose it is, where that is one developer")]
    account: str
    region: str
    trust: Trust
    protected: bool
    commit: Annotated[str | None, Field(description="The commit that is live; null where nothing is in AWS")]
    wanted_generation: int
    done_generation: int
    state: State
    url: Annotated[str, Field(description="The first of its outputs that is a web address; empty where none is")]
    outputs: Annotated[Outputs, Field(description="By stack")]
    live: Annotated[list[str] | None, Field(description="In which functions bridges are wanted: patterns")]
    error: Annotated[ErrorAnswer | None, Field(description="Why the newest run failed")]
    run: Annotated[RunAnswer | None, Field(description="The newest run")]
    page: Annotated[str, Field(description="Where people look at it")]


class RegisteredAnswer(StageAnswer):
    """A stage of a developer's own, and where its functions find the service."""

    server: str


class StagesAnswer(Answer):
    """Stages, newest first."""

    stages: list[StageAnswer]
    next: Next


class RunsAnswer(Answer):
    """Runs, newest first."""

    runs: list[RunAnswer]
    next: Next


class OutputsAnswer(Answer):
    """What a deployed stage tells, by stack."""

    outputs: Outputs
    url: str


class EventAnswer(Answer):
    """One thing that a run said."""

    cursor: Annotated[str, Field(description="Its place in the run, for `after` and `Last-Event-ID`")]
    kind: str
    subject: str
    status: str
    message: str
    seconds: float | None
    data: dict[str, Any]
    at: str


class EventsAnswer(Answer):
    """What a run said, oldest first. `over`: nothing will be added."""

    events: list[EventAnswer]
    over: bool
    next: Next


class RequestedAnswer(Answer):
    """What came of a request: it is done when the stage's `done_generation` has reached `generation`."""

    stage: int
    generation: int
    new: Annotated[bool, Field(description="false: the same was wanted already")]


class PlanAnswer(Answer):
    """A plan: what a deploy would do to a stage. Nothing of it is done."""

    id: int
    stage: int
    stage_name: str
    app: str
    commit: str | None
    assembly: int | None
    actor: str
    phase: str
    outcome: Annotated[
        Outcome | None,
        Field(description="null: it is being made; `unchanged`: a deploy would have nothing to do"),
    ]
    waits_for: Annotated[str | None, Field(description="What it waits for, where it does")]
    error: ErrorAnswer | None
    created_at: datetime
    finished_at: datetime | None
    page: Annotated[str, Field(description="Where people read it")]


class WholePlanAnswer(PlanAnswer):
    """A plan with what it says."""

    plan: Annotated[
        dict[str, Any] | None,
        Field(description="As `stagedoor diff --json` prints it (docs/cli.md); null as long as it is not made"),
    ]


class PlansAnswer(Answer):
    """Plans, newest first, without what they say."""

    plans: list[PlanAnswer]
    next: Next


class PlanRequestedAnswer(Answer):
    """The plan that is being made."""

    plan: int
    stage: int
    new: Annotated[bool, Field(description="false: the same was being made already")]


class PlanCancelledAnswer(Answer):
    """Whether there was something to cancel."""

    plan: int
    cancelled: Annotated[bool, Field(description="false: it was made already")]


class CancelledAnswer(Answer):
    """Whether there was something to cancel. The run ends at its next safe point."""

    run: int
    cancelled: Annotated[bool, Field(description="false: it had ended already")]


class FunctionAnswer(Answer):
    """A Lambda function of a stage that may be live. `reason` says why one is not."""

    name: str
    arn: str
    role: str
    timeout_s: int
    runtime: str
    handler: str
    live: bool
    reason: str
    place: str


class FunctionsAnswer(Answer):
    """The functions of a stage."""

    functions: list[FunctionAnswer]


class StageTokenAnswer(Answer):
    """A token for tunnels into a stage, and what is under /live."""

    token: str
    expires_in: Annotated[int, Field(description="Seconds")]
    developer: str


class GenerationAnswer(Answer):
    """The generation to wait for."""

    generation: int


class SessionAnswer(Answer):
    """A developer who is connected. `functions`: those that the developer takes alone; empty: any."""

    id: int
    developer: str
    functions: list[str]
    opened_at: datetime
    seen_at: datetime


class SessionsAnswer(Answer):
    """Who is connected to a stage."""

    sessions: list[SessionAnswer]


class InvocationAnswer(Answer):
    """One event that went through a tunnel. `times` are milliseconds since 1970."""

    id: int
    function: str
    request_id: str
    developer: str
    outcome: str
    error_type: str
    bytes_in: int
    bytes_out: int
    times: dict[str, int]
    replay_of: int | None
    replayable: bool


class InvocationsAnswer(Answer):
    """Invocations, newest first, without their payloads."""

    invocations: list[InvocationAnswer]
    next: Next


class AssemblyAnswer(Answer):
    """An assembly that was taken in."""

    assembly: int


class LoginBegun(Answer):
    """What to show to whoever logs in, and the code to ask with."""

    device_code: str
    user_code: str
    verification_uri: str
    interval: Annotated[int, Field(description="Seconds between two questions")]
    expires_in: Annotated[int, Field(description="Seconds")]


class LoggedIn(Answer):
    """A login."""

    token: str
    login: str
    expires_in: Annotated[int, Field(description="Seconds")]


class LoginWaiting(Answer):
    """Nobody has approved yet; ask again after so many seconds."""

    wait: int


class RunTokenAnswer(Answer):
    """A token for one run of GitHub Actions, and what it reaches."""

    model_config = ConfigDict(extra="allow")

    token: str
    expires_in: Annotated[int, Field(description="Seconds")]
    repository: str


class AuditAnswer(Answer):
    """Something that somebody did."""

    id: int
    at: datetime
    actor: str
    action: str
    stage: int | None
    subject: str
    data: dict[str, Any]


class AuditsAnswer(Answer):
    """Who did what, newest first."""

    audit: list[AuditAnswer]
    next: Next


class WrongPart(Answer):
    """A part of a request that is not as it has to be."""

    where: str
    what: str


class ProblemAnswer(Answer):
    """Why a request was refused, or failed (RFC 9457). `id` never changes its meaning; `title` is `what`, `detail` is
    `remedy`.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    type: Annotated[str, Field(examples=["urn:stagedoor:error:unknown-stage"])]
    title: str
    detail: str
    status: int
    id: str
    what: Annotated[str, Field(description="What went wrong, in a sentence")]
    remedy: Annotated[str, Field(description="What to do, in a sentence")]
    errors: Annotated[list[WrongPart], Field(description="Of `invalid-request`: which parts are wrong")] = []
