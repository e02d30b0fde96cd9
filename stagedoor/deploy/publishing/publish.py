"""Puts what changing stacks need where CloudFormation finds it: assets, images, templates too long to be sent.

All stacks' assets go at once, in parallel, in the order in which the stacks come, and a stack is ready as soon as its
own are there. An asset's key is the hash of what it holds (see `assets.py`), so two that publish the same one store the
same thing. A stack that does not change needs nothing: what it is made of was published when it was changed. So
publishing begins when the plan is known, and a deploy that changes nothing asks the bucket nothing.

Here is decided and told; the threads that do it are in `sending.py`.
"""

import time
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from stagedoor.assembly.model import Assembly, DockerImageAsset, FileAsset
from stagedoor.deploy.bootstrap import Bootstrap, NotBootstrapped, find_bootstrap
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.publishing.assets import address_of, asset_name
from stagedoor.deploy.publishing.long_templates import is_long, object_url, template_asset
from stagedoor.deploy.publishing.published import Forgetful, Published
from stagedoor.deploy.publishing.sending import Ended, Sending, present
from stagedoor.deploy.together import Work, ask
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind

_LOOK_SECONDS = 0.5
_TELL_SECONDS = 2.0


class Publishing:
    """The publishing of what the stacks `changing`, by their ids in an addressed assembly, need.

    Entered, it begins in threads of its own; left, it stops soon and waits for them. Events come, and errors are
    raised, in the thread of whoever calls: on entering, and where `until_done` runs. `urls` are the addresses of
    templates that are too long to be sent, by their paths.
    """

    def __init__(
        self,
        assembly: Assembly,
        changing: Iterable[str],
        clients: Clients,
        emit: Emit,
        published: Published | None = None,
    ) -> None:
        self._clients = clients
        self._emit = emit
        self._published = published or Forgetful()
        long = {stack.id: [template_asset(stack, clients.target)] for stack in assembly.stacks if is_long(stack)}
        self.urls = {asset.source: object_url(clients, asset) for assets in long.values() for asset in assets}
        stacks = [assembly.stack(stack_id) for stack_id in changing]
        needs = {
            stack.id: {address_of(asset): asset for asset in (*stack.assets, *long.get(stack.id, ()))}
            for stack in stacks
        }
        self._needs = {stack_id: assets.keys() for stack_id, assets in needs.items()}
        self._assets = {address: asset for assets in needs.values() for address, asset in assets.items()}
        self._version = max((stack.bootstrap_version for stack in stacks), default=0)
        self._outstanding = set(self._assets)
        self._remembered: frozenset[str] = frozenset()
        self._sending = Sending(clients, assembly.directory.resolve())
        self._place = ""
        self._began = self._told = time.monotonic()
        self._began_at = time.time()

    def __enter__(self) -> Self:
        """Begin. Raises `NotBootstrapped`, `NoImageRepository` and `NoDocker` before anything is sent."""
        self._tell_phase("started")
        try:
            if self._assets:
                self._begin(self._bootstrap())
        except BaseException as error:
            self._sending.end()
            if isinstance(error, UserError):
                self._tell_phase("failed", error.what)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._sending.end()
        if isinstance(error, UserError):
            self._published.forget(self._place)
        elif self._place:
            asked = self._assets.keys() - self._remembered - self._outstanding
            self._published.add(self._place, asked, self._began_at)

    def ready(self, stack_id: str) -> bool:
        """Whether all that a stack needs is there."""
        return self._outstanding.isdisjoint(self._needs.get(stack_id, ()))

    def until_done(self) -> Work[None]:
        """Tell what comes of each asset until all are there, as a work for `run_together`; raises the first error."""
        try:
            while self._outstanding:
                self._take_news()
                self._tell_progress()
                if self._outstanding:
                    yield from ask(partial(self._sending.await_news, _LOOK_SECONDS))
        except UserError as error:
            self._tell_phase("failed", error.what)
            raise
        self._tell_phase("done")

    def _bootstrap(self) -> Bootstrap:
        bootstrap = find_bootstrap(self._clients, self._clients.target)
        if bootstrap.version < self._version:
            raise NotBootstrapped(
                f"The app needs version {self._version} of the bootstrap in account {self._clients.target.account}, "
                f"{self._clients.target.region}; there is version {bootstrap.version}.",
                "Run a newer `cdk bootstrap` there.",
            )
        return bootstrap

    def _begin(self, bootstrap: Bootstrap) -> None:
        endpoint = self._clients.client("s3", Phase.PUBLISH).meta.endpoint_url
        self._place = f"{endpoint} {bootstrap.bucket} {bootstrap.made}"
        self._remembered = self._published.present(self._place) & self._outstanding
        for address in self._remembered:
            self._arrived(address, present(self._assets[address]))
        unknown = [asset for address, asset in self._assets.items() if address in self._outstanding]
        for image in self._sending.begin_images([asset for asset in unknown if isinstance(asset, DockerImageAsset)]):
            self._arrived(address_of(image), present(image))
        self._sending.begin_files([asset for asset in unknown if isinstance(asset, FileAsset)], bootstrap.bucket)

    def _take_news(self) -> None:
        for news in self._sending.news():
            if isinstance(news, Event):
                self._emit(news)
            else:
                self._arrived(address_of(news.asset), self._outcome(news))

    def _outcome(self, ended: Ended) -> Event:
        try:
            return ended.outcome.result()
        except (UserError, ClientError, BotoCoreError) as error:
            data = {"key": address_of(ended.asset)}
            self._emit(Event(EventKind.ASSET, asset_name(ended.asset), "failed", str(error), data=data))
            raise

    def _arrived(self, address: str, event: Event) -> None:
        self._outstanding.discard(address)
        self._emit(event)

    def _tell_progress(self) -> None:
        """Say every two seconds how far the asset is that takes longest, if any takes long. Here, too, a run that is
        cancelled notices it: by what `emit` raises.
        """
        now = time.monotonic()
        slow = [active for active in self._sending.active if now - active.began >= _TELL_SECONDS]
        if now - self._told < _TELL_SECONDS or not slow:
            return
        self._told = now
        longest = slow[0]
        sent, total = longest.transfer.sent, longest.transfer.total
        message = f"{sent / 1e6:.0f} of {total / 1e6:.0f} MB" if total else longest.doing
        data = {"key": address_of(longest.asset), "bytes": sent, "of": total}
        self._emit(Event(EventKind.ASSET, asset_name(longest.asset), "uploading", message, now - longest.began, data))

    def _tell_phase(self, status: str, message: str = "") -> None:
        seconds = None if status == "started" else time.monotonic() - self._began
        self._emit(Event(EventKind.PHASE, "publish", status, message, seconds))
