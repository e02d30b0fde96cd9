"""Puts what changing stacks need where CloudFormation finds it: assets, images, templates too long to be sent.

All stacks' assets go at once, in parallel, in the order in which the stacks come, and a stack is ready as soon as its
own are there. An asset's key is the hash of what it holds (see `assets.py`), so two that publish the same one store the
same thing. A stack that does not change needs nothing: what it is made of was published when it was changed. So
publishing begins when the plan is known, and a deploy that changes nothing asks the bucket nothing.
"""

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO, Self

from botocore.exceptions import BotoCoreError, ClientError

from stagedoor.assembly.model import Assembly, DockerImageAsset, FileAsset, Packaging, Stack
from stagedoor.assembly.target_names import assets_bucket, url_suffix
from stagedoor.deploy.archives import write_archive
from stagedoor.deploy.bootstrap import Bootstrap, NotBootstrapped, find_bootstrap
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.docker import Docker
from stagedoor.deploy.images import image_name
from stagedoor.deploy.published import Forgetful, Published
from stagedoor.deploy.registry import ImageRegistry
from stagedoor.deploy.together import Work, ask
from stagedoor.deploy.uploads import Transfer, Uploads
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.target import Target

TEMPLATE_BODY_LIMIT = 51_200
"""Bytes of a template that a call may hold; longer ones go by S3
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html)."""

_AT_ONCE = 16
_PARTS_AT_ONCE = 8
_IMAGES_AT_ONCE = 2
_LOOK_SECONDS = 0.5
_TELL_SECONDS = 2.0
_WORTH_LISTING = 8
"""From so many unknown assets on, one page of the bucket is read before they are asked about one by one."""


Asset = FileAsset | DockerImageAsset


@dataclass(slots=True)
class _Active:
    """An asset on its way, told of while it takes long."""

    name: str
    began: float
    doing: str = "packing"
    transfer: Transfer = field(default_factory=Transfer)


class Publishing:
    """The publishing of what the stacks `changing`, by their ids in an addressed assembly, need.

    Entered, it begins in threads of its own; left, it stops soon and waits for them. Events come, and errors are
    raised, where `until_done` runs and nowhere else. `urls` are the addresses of templates that are too long to be
    sent, by their paths.
    """

    def __init__(
        self,
        assembly: Assembly,
        changing: Iterable[str],
        clients: Clients,
        emit: Emit,
        published: Published | None = None,
    ) -> None:
        self._root = assembly.directory.resolve()
        self._clients = clients
        self._emit = emit
        self._published = published or Forgetful()
        long = {stack.id: [template_asset(stack, clients.target)] for stack in assembly.stacks if is_long(stack)}
        self.urls = {asset.source: object_url(clients, asset) for assets in long.values() for asset in assets}
        stacks = [assembly.stack(stack_id) for stack_id in changing]
        self._version = max((stack.bootstrap_version for stack in stacks), default=0)
        needs = {
            stack.id: {address_of(asset): asset for asset in (*stack.assets, *long.get(stack.id, ()))}
            for stack in stacks
        }
        self._needs = {stack_id: assets.keys() for stack_id, assets in needs.items()}
        self._assets = {address: asset for assets in needs.values() for address, asset in assets.items()}
        self._outstanding = set(self._assets)
        self._remembered: frozenset[str] = frozenset()
        self._news: SimpleQueue[Event | Future[Event]] = SimpleQueue()
        self._something_new = threading.Event()
        self._addresses: dict[Future[Event], str] = {}
        self._active: dict[str, _Active] = {}
        self._stop = threading.Event()
        self._senders = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="publish")
        self._parts = ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="publish-part")
        self._builders = ThreadPoolExecutor(_IMAGES_AT_ONCE, thread_name_prefix="publish-image")
        self._open = ExitStack()
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
            self._end()
            if isinstance(error, UserError):
                self._tell_phase("failed", error.what)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()
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
                    yield from ask(self._await_news)
        except UserError as error:
            self._tell_phase("failed", error.what)
            raise
        self._tell_phase("done")

    def _end(self) -> None:
        self._stop.set()
        self._senders.shutdown(cancel_futures=True)
        self._builders.shutdown(cancel_futures=True)
        self._parts.shutdown()
        self._open.close()

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
        s3 = self._clients.client("s3", Phase.PUBLISH)
        self._place = f"{s3.meta.endpoint_url} {bootstrap.bucket} {bootstrap.made}"
        self._remembered = self._published.present(self._place) & self._outstanding
        for address in self._remembered:
            self._arrived(address, _present(self._assets[address]))
        unknown = [asset for address, asset in self._assets.items() if address in self._outstanding]
        self._begin_images([asset for asset in unknown if isinstance(asset, DockerImageAsset)])
        files = [asset for asset in unknown if isinstance(asset, FileAsset)]
        uploads = Uploads(s3, bootstrap.bucket, self._clients.target.account, self._parts, self._stop)
        listing = self._senders.submit(self._listing, uploads, len(files))
        for asset in files:
            self._watch(asset.key, self._senders.submit(self._publish, uploads, asset, listing))

    def _begin_images(self, images: Sequence[DockerImageAsset]) -> None:
        """Ask for all of them first: whether a Docker is needed is to be known before anything is changed."""
        registry = ImageRegistry(self._clients)
        missing = []
        for image, there in zip(images, self._senders.map(registry.holds, images), strict=True):
            if there:
                self._arrived(address_of(image), _present(image))
            else:
                missing.append(image)
        if missing:
            docker = self._open.enter_context(Docker.found(self._clients.target.image_builds, self._go_on))
            for image in missing:
                self._watch(address_of(image), self._builders.submit(self._build, registry, docker, image))

    def _watch(self, address: str, future: Future[Event]) -> None:
        self._addresses[future] = address
        future.add_done_callback(self._tell)

    def _tell(self, news: Event | Future[Event]) -> None:
        self._news.put(news)
        self._something_new.set()

    def _await_news(self) -> None:
        self._something_new.wait(_LOOK_SECONDS)

    def _listing(self, uploads: Uploads, unknown: int) -> tuple[frozenset[str], str | None]:
        if unknown < _WORTH_LISTING:
            return frozenset(), ""
        return uploads.first_page(f"{self._clients.target.trust}/")

    def _publish(
        self, uploads: Uploads, asset: FileAsset, listing: "Future[tuple[frozenset[str], str | None]]"
    ) -> Event:
        began = time.monotonic()
        listed, last = listing.result()
        there = asset.key in listed if last is None or asset.key <= last else uploads.holds(asset.key)
        if there:
            return _present(asset)
        with (
            self._telling(asset.key, _Active(_name(asset), began)) as active,
            _body(asset, self._root, self._go_on) as file,
        ):
            known = asset.key.rpartition("/")[2].partition(".")[0] if asset.packaging is Packaging.FILE else None
            uploads.send(file.fileno(), asset.key, active.transfer, known)
        data = {"key": asset.key, "bytes": active.transfer.total}
        return Event(EventKind.ASSET, _name(asset), "uploaded", seconds=time.monotonic() - began, data=data)

    def _build(self, registry: ImageRegistry, docker: Docker, image: DockerImageAsset) -> Event:
        began, address = time.monotonic(), address_of(image)
        with self._telling(address, _Active(_name(image), began)) as active:

            def say(line: str) -> None:
                self._tell(Event(EventKind.LOG, "docker", message=line))

            def doing(words: str) -> None:
                active.doing = words

            registry.publish(image, docker, say, doing)
        return Event(EventKind.ASSET, _name(image), "uploaded", seconds=time.monotonic() - began, data={"key": address})

    @contextmanager
    def _telling(self, address: str, active: _Active) -> Iterator[_Active]:
        self._active[address] = active
        try:
            yield active
        finally:
            del self._active[address]

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise CancelledError

    def _take_news(self) -> None:
        self._something_new.clear()
        while True:
            try:
                news = self._news.get_nowait()
            except Empty:
                return
            if isinstance(news, Event):
                self._emit(news)
                continue
            address = self._addresses[news]
            try:
                event = news.result()
            except (UserError, ClientError, BotoCoreError) as error:
                name, data = _name(self._assets[address]), {"key": address}
                self._emit(Event(EventKind.ASSET, name, "failed", str(error), data=data))
                raise
            self._arrived(address, event)

    def _arrived(self, address: str, event: Event) -> None:
        self._outstanding.discard(address)
        self._emit(event)

    def _tell_progress(self) -> None:
        """Say every two seconds how far the asset is that takes longest, if any takes long. Here, too, a run that is
        cancelled notices it: by what `emit` raises.
        """
        now = time.monotonic()
        slow = [(name, active) for name, active in list(self._active.items()) if now - active.began >= _TELL_SECONDS]
        if now - self._told < _TELL_SECONDS or not slow:
            return
        self._told = now
        for address, active in slow[:1]:
            sent, total = active.transfer.sent, active.transfer.total
            message = f"{sent / 1e6:.0f} of {total / 1e6:.0f} MB" if total else active.doing
            data = {"key": address, "bytes": sent, "of": total}
            self._emit(Event(EventKind.ASSET, active.name, "uploading", message, now - active.began, data))

    def _tell_phase(self, status: str, message: str = "") -> None:
        seconds = None if status == "started" else time.monotonic() - self._began
        self._emit(Event(EventKind.PHASE, "publish", status, message, seconds))


def address_of(asset: Asset) -> str:
    """Return where an asset is published: an object's key, or an image's repository and tag."""
    return asset.key if isinstance(asset, FileAsset) else f"{asset.repository}:{asset.tag}"


def is_long(stack: Stack) -> bool:
    """Whether a stack's template is too long to be sent with a call."""
    return stack.template_path.stat().st_size > TEMPLATE_BODY_LIMIT


def template_asset(stack: Stack, target: Target) -> FileAsset:
    """Return a stack's own template as an asset of the target's bucket."""
    digest = hashlib.sha256(stack.template_path.read_bytes()).hexdigest()
    return FileAsset(
        claimed_hash=digest,
        source=stack.template_path,
        packaging=Packaging.FILE,
        bucket=assets_bucket(target),
        key=f"{target.trust}/{digest}.template.json",
        display_name=f"{stack.own_name}.template.json",
        is_template=True,
    )


def object_url(clients: Clients, asset: FileAsset) -> str:
    """Return where CloudFormation reads an asset; behind an endpoint of one's own, the endpoint's address."""
    endpoint = clients.client("s3", Phase.PUBLISH).meta.endpoint_url
    target = clients.target
    if "amazonaws.com" in endpoint:
        return f"https://{asset.bucket}.s3.{target.region}.{url_suffix(target)}/{asset.key}"
    return f"{endpoint}/{asset.bucket}/{asset.key}"


@contextmanager
def _body(asset: FileAsset, root: Path, go_on: Callable[[], None]) -> Iterator[IO[bytes]]:
    """Open what an asset is published as: its file, or an archive that is made on disk and gone afterwards."""
    if asset.packaging is Packaging.FILE:
        with asset.source.open("rb") as source:
            yield source
    else:
        with tempfile.TemporaryFile(prefix="stagedoor-") as archive:
            write_archive(asset, root, archive, go_on)
            archive.flush()
            yield archive


def _present(asset: Asset) -> Event:
    return Event(EventKind.ASSET, _name(asset), "present", data={"key": address_of(asset)})


def _name(asset: Asset) -> str:
    return image_name(asset) if isinstance(asset, DockerImageAsset) else asset.display_name or asset.key
