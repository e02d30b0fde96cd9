"""The loop between synth and the account: what an app asks for is looked up and given to it in the next synth.

An app that says `Vpc.from_lookup` cannot look by itself: its synth has no network and no credentials. It writes down
what is missing, is run again with the answers, and may then ask for more. The CDK CLI does the same
(`context-aware-source.ts` in https://github.com/aws/aws-cdk-cli). The role that an assembly names for it is ignored;
the target's lookup role is used.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError, ParamValidationError

from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.synth.context.balancers import load_balancer, load_balancer_listener
from stagedoor.synth.context.cloud_control import cloud_control
from stagedoor.synth.context.providers import (
    ClientOf,
    LookupFailed,
    NothingFound,
    availability_zones,
    endpoint_service_zones,
    hosted_zone,
    kms_key,
    machine_image,
    security_group,
    ssm_parameter,
)
from stagedoor.synth.context.query import Query, queries_of
from stagedoor.synth.context.vpc import vpc
from stagedoor.synth.settings import read_settings
from stagedoor.synth.synthesis import SynthRequest
from stagedoor.target import Target, Trust

ROUNDS = 8
"""Synths of one app in a row. An answer may lead to another question: a parameter names a VPC, the VPC has a group."""

PREVIEW_KEEPS = timedelta(days=1)
"""How long a looked-up value serves previews. Stages that are to last keep it: a newer machine image must not replace
their instances because a day has gone by. What an app commits in cdk.context.json comes before either."""

LOOKUPS = 300
"""Questions that one app may ask. They are calls to AWS in the target's name, and the app is a stranger's."""

PROVIDERS: Mapping[str, Callable[[ClientOf, Query], Any]] = {
    "ami": machine_image,
    "availability-zones": availability_zones,
    "cc-api-provider": cloud_control,
    "endpoint-service-availability-zones": endpoint_service_zones,
    "hosted-zone": hosted_zone,
    "key-provider": kms_key,
    "load-balancer": load_balancer,
    "load-balancer-listener": load_balancer_listener,
    "security-group": security_group,
    "ssm": ssm_parameter,
    "vpc-provider": vpc,
}
"""CDK's own providers. Its `plugin`, a program of the app's choice that runs where credentials are, is left out."""

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})


class UnknownProvider(UserError):
    """A lookup of a kind that is not known here."""

    id = "unknown-context-provider"


class NoProgress(UserError):
    """An app that goes on asking, for what it was told or for ever more."""

    id = "lookup-without-progress"


class NoLookupRole(UserError):
    """A target that has roles for deploying, and none that may only look."""

    id = "no-lookup-role"


class KeptContext(Protocol):
    """Where looked-up values are kept from one synth of an app to the next."""

    def read(self) -> Mapping[str, Any]:
        """Return what is kept, by context key."""

    def keep(self, values: Mapping[str, Any]) -> None:
        """Keep these values, too."""


def still_holds(read_at: datetime, now: datetime, trust: Trust) -> bool:
    """Whether a value that was looked up at `read_at` is given to a synth at `now`."""
    return trust is not Trust.PREVIEW or now - read_at < PREVIEW_KEEPS


@dataclass(frozen=True, slots=True)
class Account:
    """The account that is looked into.

    `client` returns boto3's client of a service, as the target's lookup role; `judges_request` says whether AWS refused
    the request itself, so that asking again is of no use.
    """

    target: Target
    client: ClientOf
    judges_request: Callable[[ClientError], bool]


def synthesize_with_context(
    request: SynthRequest,
    synthesize: Callable[[SynthRequest], Path],
    account: Account,
    kept: KeptContext,
    emit: Emit,
) -> Assembly:
    """Return the assembly of the last synth, in which nothing is missing any more.

    The app's own context (`cdk.json`, `cdk.context.json`) comes before what is kept or looked up; `request.context`
    comes before both. The first synth writes into `request.output`, the others beside it.
    Raises what `synthesize`, `read_assembly` and `look_up` raise, `NoProgress`, and one `LookupFailed` that names all
    lookups that failed and are still asked for.
    """
    root = (request.root or request.app_dir).resolve()
    own = read_settings(request.app_dir.resolve(), root).context
    given = {key: value for key, value in kept.read().items() if key not in own}
    asked: set[str] = set()
    failed: dict[str, LookupFailed] = {}
    for count in range(ROUNDS):
        output = request.output if count == 0 else request.output.with_name(f"{request.output.name}-{count + 1}")
        context = {**given, **request.context}
        assembly = read_assembly(synthesize(replace(request, output=output, context=context)), root)
        queries = queries_of(assembly.missing_context)
        if not queries:
            return assembly
        asked.update(query.key for query in queries)
        _check_progress(queries, asked, context)
        _raise_together([failed[query.key] for query in queries if query.key in failed])
        answers = look_up(queries, account, emit)
        if not answers.found and not answers.assumed:
            _raise_together(list(answers.failed.values()))
        lasting = [query.key for query in queries if query.lasting and query.key in answers.found]
        kept.keep({key: answers.found[key] for key in lasting})
        given |= {**answers.found, **answers.assumed}
        failed |= answers.failed
    raise NoProgress(
        f"The app still looks something up after {ROUNDS} synths: {', '.join(sorted(asked))[:500]}.",
        "See that what it looks up does not change with each run; cdk.context.json can hold the values.",
    )


def _check_progress(queries: Sequence[Query], asked: Collection[str], given: Mapping[str, Any]) -> None:
    again = [query.key for query in queries if query.key in given]
    if again:
        raise NoProgress(
            f"The app was told {again[0][:300]!a} and asks for it again.",
            "Pin aws-cdk-lib to the version that the app was written for; the value may be of an older shape.",
        )
    if len(asked) > LOOKUPS:
        raise NoProgress(
            f"The app looks up more than {LOOKUPS} facts about the account.",
            "Look up what does not change once, and commit cdk.context.json.",
        )


def _raise_together(failures: Sequence[LookupFailed]) -> None:
    if not failures:
        return
    first = failures[0]
    more = f" (and {len(failures) - 1} more lookups failed)" if len(failures) > 1 else ""
    detail = "\n".join(failure.what for failure in failures) if more else first.detail
    raise LookupFailed(f"{first.what}{more}", first.remedy, detail=detail)


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of some questions, by context key.

    `found` is what the account says, `assumed` what the app says to assume where there is nothing. `failed` fails
    nothing yet: an app that lacks one answer goes on with a dummy, and may ask for what belongs to the dummy.
    """

    found: Mapping[str, Any]
    assumed: Mapping[str, Any]
    failed: Mapping[str, LookupFailed]


def look_up(queries: Sequence[Query], account: Account, emit: Emit) -> Answers:
    """Ask the account each question.

    Raises `UnknownProvider`, `ForeignLookup` and `NoLookupRole` before anything is asked, `InvalidLookup` and
    `SecretLookup`. Errors of the SDK that say nothing of a request (expired credentials, no way to AWS) are passed on.
    """
    target = account.target
    if target.deploy_role is not None and target.lookup_role is None:
        raise NoLookupRole(
            f"The app looks up {queries[0].key[:200]!a}, and the target {target.name!r} has no role for looking.",
            "Commit cdk.context.json with the values, or have the target's operator give it a `lookup_role`.",
        )
    for query in queries:
        _check(query, target)
    found: dict[str, Any] = {}
    assumed: dict[str, Any] = {}
    failed: dict[str, LookupFailed] = {}
    for query in queries:
        try:
            found[query.key] = _answer(query, account)
        except LookupFailed as failure:
            may_be_missing = query.flag("ignoreErrorOnMissingContext") and "dummyValue" in query.properties
            if isinstance(failure, NothingFound) and may_be_missing:
                assumed[query.key] = query.properties["dummyValue"]
            else:
                failed[query.key] = failure
        else:
            emit(Event(EventKind.LOG, "lookup", message=f"Looked up {ascii(query.key)[1:-1]}"))
    return Answers(found, assumed, failed)


def _check(query: Query, target: Target) -> None:
    if query.provider not in PROVIDERS:
        raise UnknownProvider(
            f"The app looks up {query.key[:200]!a} by the provider {query.provider[:100]!a}, which is not known here.",
            f"Known are {', '.join(sorted(PROVIDERS))}. Put the value into cdk.context.json, or update Stagedoor.",
        )
    query.check_place(target)


def _answer(query: Query, account: Account) -> Any:
    try:
        return PROVIDERS[query.provider](account.client, query)
    except ParamValidationError as error:
        raise query.invalid(f"AWS does not take it ({error.kwargs['report']})") from error
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in _DENIED and error.operation_name != "AssumeRole":
            raise LookupFailed(
                f"Looking up {query.key[:300]!a}: the target's lookup role may not call {error.operation_name}.",
                "Put the value into cdk.context.json, or have the role allowed it.",
                detail=message,
            ) from error
        if account.judges_request(error):
            raise LookupFailed(
                f"Looking up {query.key[:300]!a}: AWS says {message or code}", "Correct what the app looks up."
            ) from error
        raise
