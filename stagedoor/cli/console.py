"""`stagedoor console`: the pages on which a stage can be looked at."""

import sys
from collections.abc import Iterator
from urllib.parse import quote

import click

from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.deployed_functions import deployed_functions, matching
from stagedoor.cli.deployed_stage import Looking, look_at
from stagedoor.cli.login import SERVER
from stagedoor.cli.options import EXIT_CODES, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.screen import Ending
from stagedoor.cli.service import Logins, NoService, NotLoggedIn, Service, ServiceRefused, find_server
from stagedoor.cli.service_address import address
from stagedoor.cli.stage import OWNER
from stagedoor.cli.table import write_table
from stagedoor.cli.work import at_work
from stagedoor.target import Target

_DOMAINS = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
"""Source: https://docs.aws.amazon.com/general/latest/gr/rande.html; all others are `console.aws.amazon.com`."""


@click.command(epilog=EXIT_CODES)
@click.argument("function", required=False)
@STAGE
@click.option("--print", "only_print", is_flag=True, help="Print the addresses, and open none.")
@SERVER
@with_options
def console(function: str | None, stage: str | None, only_print: bool, server: str | None, options: Options) -> None:
    """Open a stage's page: at the service that deployed it, else its first stack's in the AWS console.

    With FUNCTION, a name or a pattern, the function's page. Where there is no terminal, or with --print, the addresses
    of all stacks and functions are printed instead.

    \b
    Example:
      stagedoor console --stage dev
      stagedoor console Greet --stage dev --print
    """
    with at_work(options) as work, work.interruption.anywhere():
        app = work.app()
        wanted = stage_named(stage, app)
        looking = look_at(work, app, wanted)
        pages = [*_service_pages(app, looking, server), *_pages(looking, function)]
        if function is not None:
            pages = [page for page in pages if page[0] == "function"]
        listed = [{"kind": kind, "name": name, "url": url} for kind, name, url in pages]
        data = {"app": app.name, "stage": wanted, "pages": listed}
        sentence = f"{len(pages)} pages of the stage {wanted} of {app.name}."
        if only_print or options.as_json or not sys.stdout.isatty():
            if not options.as_json:
                write_table(("page", "name", "address"), pages)
        elif click.launch(pages[0][2]) == 0:
            sentence = f"Opened {pages[0][2]}"
        else:
            write_table(("page", "name", "address"), pages)
        work.screen.end(Ending(sentence, data=data))


def stack_page(target: Target, arn: str) -> str:
    """Return the address of a stack's page in the AWS console."""
    return f"{_home(target, 'cloudformation')}#/stacks/stackinfo?stackId={quote(arn, safe='')}"


def function_page(target: Target, name: str) -> str:
    """Return the address of a function's page in the AWS console."""
    return f"{_home(target, 'lambda')}#/functions/{quote(name)}"


def _home(target: Target, service: str) -> str:
    domain = _DOMAINS.get(target.partition, "console.aws.amazon.com")
    return f"https://{target.region}.{domain}/{service}/home?region={target.region}"


def _pages(looking: Looking, function: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield what each page is of, that one's name, and the address."""
    for stack in looking.stage.stacks:
        yield "stack", looking.stage.own_name(stack), stack_page(looking.target, stack.arn)
    functions = deployed_functions(looking)
    for one in matching(functions, function) if function is not None else functions:
        yield "function", one.path, function_page(looking.target, one.name)


def _service_pages(app: AppFolder, looking: Looking, server: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield the stage's page at the service, where that deployed it and this person is logged in."""
    if looking.stage.owner == OWNER:
        return
    try:
        logins = Logins.of_user()
        service = Service.logged_in(find_server(server, None, logins), logins)
        said = service.stage(**address(app, looking.stage.name))
    except (NoService, NotLoggedIn, ServiceRefused):
        return
    yield "service", looking.stage.name, f"{service.url}/stages/{said['id']}"
