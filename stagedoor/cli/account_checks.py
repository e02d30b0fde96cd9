"""What `stagedoor doctor` asks AWS: whose credentials these are, whether the clocks agree, and what is prepared."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from stagedoor.cli.account import NoRegion
from stagedoor.cli.checks import Check, bad, good, told
from stagedoor.deploy.bootstrap import VERSION, find_bootstrap
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.errors import UserError
from stagedoor.target import Target

SKEW_SECONDS = 300
"""How far AWS lets a request's time be from its own
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)."""


def account_checks(find_target: Callable[[], Target], clients_of: Callable[[Target], Clients]) -> Iterator[Check]:
    """Look at credentials, region, clock and bootstrap; what needs what is bad is left out."""
    try:
        target = find_target()
    except NoRegion as error:
        yield bad("region", error.what, error.remedy)
        return
    except UserError as error:
        yield bad("credentials", error.what, error.remedy)
        if isinstance(error.__cause__, ClientError):  # a clock that is off may be why
            yield clock_check(error.__cause__.response, datetime.now(UTC))
        return
    clients = clients_of(target)
    caller: Any = clients.client("sts", Phase.DEPLOY).get_caller_identity()
    yield good("credentials", f"{caller['Arn']}, account {target.account}")
    yield good("region", target.region)
    yield clock_check(caller, datetime.now(UTC))
    yield told("bootstrap", lambda: _bootstrap(clients, target))


def _bootstrap(clients: Clients, target: Target) -> Check:
    found = find_bootstrap(clients, target)
    if found.version < VERSION:
        said = f"Version {found.version} ({target.qualifier}) is too old."
        return bad("bootstrap", said, "Run `cdk bootstrap` again with an operator's credentials.")
    return good("bootstrap", f"version {found.version} ({target.qualifier}), bucket {found.bucket}")


def clock_check(answer: Any, now: datetime) -> Check:
    """Compare this machine's clock with the time that an answer of the SDK says it is at AWS."""
    told_at = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    if told_at is None:
        return good("clock", "AWS did not say what time it is")
    seconds = (now - parsedate_to_datetime(told_at)).total_seconds()
    if abs(seconds) > SKEW_SECONDS:
        which = "ahead of" if seconds > 0 else "behind"
        return bad("clock", f"This machine is {abs(seconds):.0f} s {which} AWS.", "Set the clock, by NTP best.")
    return good("clock", "agrees with AWS")
