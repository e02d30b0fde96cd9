"""What the API takes in: bodies and queries. All that is not declared is refused, and so is what is not as declared."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from service.api.operation import LARGEST_ID
from stagedoor.naming import STAGE_NAME

MOST_LISTED = 200
LISTED = 50
MOST_FUNCTIONS = 1_000

# pydantic's own engine for patterns reads them as ECMA's does, and so as OpenAPI means them; Python's would let a line
# break pass at the end.
_ADDRESS = r"^[A-Za-z0-9._/@:+ =-]{1,255}$"
_NAME = r"^[A-Za-z0-9._-]{1,64}$"
_TEXT = r"^[^\x00-\x1f\x7f]*$"

RepositoryAddress = Annotated[
    str,
    StringConstraints(pattern=_ADDRESS, max_length=255),
    Field(description="The repository's address, as its remote has it", examples=["github.com/acme/notes"]),
]
AppName = Annotated[
    str, StringConstraints(pattern=_NAME), Field(description="The app's name in stagedoor.toml", examples=["notes"])
]
StageName = Annotated[
    str, StringConstraints(pattern=STAGE_NAME.pattern), Field(description="The stage's name", examples=["pr-7"])
]
Commit = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$"),
    Field(description="A whole commit id", examples=["c" * 40]),
]
Text = Annotated[str, StringConstraints(pattern=_TEXT, max_length=255)]
LongText = Annotated[str, StringConstraints(pattern=_TEXT, max_length=2048)]
Patterns = Annotated[list[Annotated[str, StringConstraints(pattern=_TEXT, max_length=255)]], Field(max_length=100)]


def _decimal(said: Any) -> Any:
    """Let a number in a query be written in one way alone."""
    if isinstance(said, str):
        if not (said.isascii() and said.isdecimal() and len(said) <= 19):
            raise ValueError("a whole number is needed")
        return int(said)
    return said


def _whole(said: Any) -> Any:
    """Let 7.0 be 7, as JSON Schema has it."""
    return int(said) if isinstance(said, float) and said.is_integer() else said


Whole = BeforeValidator(_whole)
# Validators come after the limits, else these are not in the document.
Id = Annotated[int, Field(ge=1, le=LARGEST_ID), Whole]
QueryId = Annotated[int, Field(ge=0, le=LARGEST_ID), BeforeValidator(_decimal)]
Limit = Annotated[int, Field(ge=1, le=MOST_LISTED, description="How many at the most"), BeforeValidator(_decimal)]
Before = Annotated[QueryId | None, Field(description="Those before this one: `next` of the page that was read before")]


class Body(BaseModel):
    """A JSON document that comes in."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """What stands after the question mark."""

    model_config = ConfigDict(extra="forbid")


class Page(Query):
    """Which part of a list, newest first."""

    before: Before = None
    limit: Limit = LISTED


class StageQuery(Page):
    """Which stages."""

    repository: RepositoryAddress
    app: AppName | None = None
    stage: StageName | None = None


class RunQuery(StageQuery):
    """Which runs."""


class StreamQuery(Query):
    """What is waited for."""

    generation: Annotated[
        QueryId | None, Field(description="Until the stage is done with this one; without it, with what is wanted now")
    ] = None


class EventQuery(Query):
    """Which part of a run's events, oldest first."""

    after: Annotated[
        str | None,
        StringConstraints(pattern=r"^[0-9]{1,19}(\.[0-9]{1,10}){2}$"),
        Field(
            description="Those after this one: `next` of the page that was read before, or an event's id of a stream"
        ),
    ] = None
    limit: Annotated[int, Field(ge=1, le=5_000, description="How many at the most"), BeforeValidator(_decimal)] = 1_000


class UploadQuery(Query):
    """What an assembly is of. A stage that is named lends it its trust; else it is for previews."""

    repository: RepositoryAddress
    app: AppName
    stage: StageName | None = None
    commit: Commit | None = None


class AuditQuery(Page):
    """Which part of the record."""

    repository: RepositoryAddress
    stage: StageName | None = None


class TokenQuery(Query):
    """Whose tokens."""

    repository: RepositoryAddress


class LoginPoll(Body):
    """Asks whether somebody has approved a login."""

    device_code: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]


class Exchange(Body):
    """An OIDC token of a job of GitHub Actions, for a token of the service's own."""

    token: Annotated[
        str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=16_384), Field(description="The job's OIDC token")
    ]
    app: AppName | None = None
    stage: StageName | None = None
    command: Annotated[
        str, StringConstraints(pattern=r"^(deploy|diff|remove|outputs)$"), Field(description="What it is for")
    ] = "deploy"


class OwnStageBody(Body):
    """A stage that a developer deploys with credentials of their own."""

    repository: RepositoryAddress
    app: AppName
    stage: StageName
    path: Annotated[LongText, Field(description="The app's folder in its repository")] = "."
    account: Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
    partition: Annotated[str, StringConstraints(pattern=r"^[a-z-]{1,16}$")] = "aws"
    prefix: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9-]{0,64}$"),
        Field(description="What its stacks' names begin with; empty for one that was adopted"),
    ] = ""


class FunctionBody(Body):
    """A Lambda function of a stage, as its deploy found it."""

    name: Annotated[str, StringConstraints(pattern=_TEXT, min_length=1, max_length=140)]
    arn: LongText
    role: LongText
    timeout_s: Annotated[int, Field(ge=0, le=100_000), Whole]
    runtime: Annotated[str, StringConstraints(pattern=_TEXT, max_length=32)] = ""
    handler: LongText = ""
    live: bool = True
    reason: LongText = ""
    place: LongText = ""


class FunctionsBody(Body):
    """All functions of a stage."""

    functions: Annotated[list[FunctionBody], Field(max_length=MOST_FUNCTIONS)]


class LiveBody(Body):
    """In which functions there are to be bridges: patterns; null takes all out."""

    functions: Patterns | None = None


def _one_of(*names: str) -> Callable[[dict[str, Any]], None]:
    """Return what says that one of these is needed; what stands for the others is no value that could be sent."""

    def say(schema: dict[str, Any]) -> None:
        schema["oneOf"] = [{"required": [name]} for name in names]
        for name in names:
            del schema["properties"][name]["default"]

    return say


_PLANNED = ("commit", "assembly", "run")


class PlanBody(Body):
    """A stage, and what it is to be compared with: a commit, an assembly that was uploaded, or what a run deployed."""

    model_config = ConfigDict(json_schema_extra=_one_of(*_PLANNED))

    repository: RepositoryAddress
    app: AppName | None = None
    stage: StageName
    commit: Commit = ""
    assembly: Annotated[Id, Field(description="The id of an assembly")] = 0
    run: Annotated[Id, Field(description="The id of a run, of this stage or another one of its app")] = 0

    @model_validator(mode="after")
    def _one(self) -> "PlanBody":
        if len(self.model_fields_set & set(_PLANNED)) != 1:
            raise ValueError("a commit, an assembly or a run is needed, and one of them alone")
        return self


class DeployBody(Body):
    """What a stage is to be: a commit of its repository, or an assembly that was uploaded."""

    model_config = ConfigDict(json_schema_extra=_one_of("commit", "assembly"))

    commit: Commit = ""
    assembly: Annotated[Id, Field(description="The id of an assembly")] = 0
    again: Annotated[bool, Field(description="Once more, even if it is what is wanted already")] = False

    @model_validator(mode="after")
    def _one_of_two(self) -> "DeployBody":
        if {"commit", "assembly"} <= self.model_fields_set or not {"commit", "assembly"} & self.model_fields_set:
            raise ValueError("either a commit or an assembly is needed")
        return self


class RunBody(Body):
    """The run whose assembly is meant."""

    run: Annotated[Id, Field(description="The id of a run")]
