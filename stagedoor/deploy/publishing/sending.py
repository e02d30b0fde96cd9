"""The threads that publish: each asset is looked for, packed or built, and sent.

Nothing here decides what is needed or tells anybody of it: what there is to say is put into a queue, and `publish.py`
takes it out in the thread that runs the deploy.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from stagedoor.assembly.model import DockerImageAsset, FileAsset, Packaging
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.publishing.archives import write_archive
from stagedoor.deploy.publishing.assets import Asset, address_of, asset_name
from stagedoor.deploy.publishing.docker import Docker
from stagedoor.deploy.publishing.registry import ImageRegistry
from stagedoor.deploy.publishing.uploads import Transfer, Uploads
from stagedoor.events import Event, EventKind

_AT_ONCE = 16
_PARTS_AT_ONCE = 8
_IMAGES_AT_ONCE = 2
_WORTH_LISTING = 8
"""From so many assets on, one page of the bucket is read before they are asked about one by one."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An asset that is there, or that could not be published: `outcome` has the event that says so, or the error."""

    asset: Asset
    outcome: Future[Event]


@dataclass(slots=True)
class Active:
    """An asset on its way: since when, by the monotonic clock, and how far."""

    asset: Asset
    began: float
    doing: str = "packing"
    transfer: Transfer = field(default_factory=Transfer)


class Sending:
    """Publishes into one bucket and its registry. `root` is the assembly's real directory: no asset's link leads out.

    `active` are the assets on their way, those that began first first.
    """

    def __init__(self, clients: Clients, root: Path) -> None:
        self._clients = clients
        self._root = root
        self._news: SimpleQueue[Event | Ended] = SimpleQueue()
        self._something_new = threading.Event()
        self._stop = threading.Event()
        self._senders = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="publish")
        self._parts = ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="publish-part")
        self._builders = ThreadPoolExecutor(_IMAGES_AT_ONCE, thread_name_prefix="publish-image")
        self._open = ExitStack()
        self._active: dict[str, Active] = {}

    def begin_files(self, files: Sequence[FileAsset], bucket: str) -> None:
        """Begin to send files, in their order."""
        s3 = self._clients.client("s3", Phase.PUBLISH)
        uploads = Uploads(s3, bucket, self._clients.target.account, self._parts, self._stop)
        listing = self._senders.submit(self._listing, uploads, len(files))
        for file in files:
            self._watch(file, self._senders.submit(self._send, uploads, file, listing))

    def begin_images(self, images: Sequence[DockerImageAsset]) -> list[DockerImageAsset]:
        """Begin to build the images that are not in the registry, and return those that are.

        All are asked about first: whether a Docker is needed is known before anything is begun. Raises
        `NoImageRepository` and `NoDocker`.
        """
        registry = ImageRegistry(self._clients)
        there = [image for image, known in zip(images, self._senders.map(registry.holds, images), strict=True) if known]
        missing = [image for image in images if image not in there]
        if missing:
            docker = self._open.enter_context(Docker.found(self._clients.target.image_builds, self._go_on))
            for image in missing:
                self._watch(image, self._builders.submit(self._build, registry, docker, image))
        return there

    def await_news(self, seconds: float) -> None:
        """Wait until there is something to say, or for so long."""
        self._something_new.wait(seconds)

    def news(self) -> Iterator[Event | Ended]:
        """Yield what there is to say by now: lines of programs, and assets that have ended."""
        self._something_new.clear()
        while True:
            try:
                yield self._news.get_nowait()
            except Empty:
                return

    @property
    def active(self) -> list[Active]:
        """The assets on their way."""
        return list(self._active.values())

    def end(self) -> None:
        """Stop soon whatever goes on, and wait for it."""
        self._stop.set()
        self._senders.shutdown(cancel_futures=True)
        self._builders.shutdown(cancel_futures=True)
        self._parts.shutdown()
        self._open.close()

    def _watch(self, asset: Asset, future: Future[Event]) -> None:
        future.add_done_callback(lambda outcome: self._say(Ended(asset, outcome)))

    def _say(self, news: Event | Ended) -> None:
        self._news.put(news)
        self._something_new.set()

    def _listing(self, uploads: Uploads, count: int) -> tuple[frozenset[str], str | None]:
        if count < _WORTH_LISTING:
            return frozenset(), ""
        return uploads.first_page(f"{self._clients.target.trust}/")

    def _send(self, uploads: Uploads, asset: FileAsset, listing: "Future[tuple[frozenset[str], str | None]]") -> Event:
        began = time.monotonic()
        listed, last = listing.result()
        there = asset.key in listed if last is None or asset.key <= last else uploads.holds(asset.key)
        if there:
            return present(asset)
        with self._shown(Active(asset, began)) as active, _body(asset, self._root, self._go_on) as file:
            # A file's key is its digest; an archive's is that of what is in it.
            known = asset.key.rpartition("/")[2].partition(".")[0] if asset.packaging is Packaging.FILE else None
            uploads.send(file.fileno(), asset.key, active.transfer, known)
        return _uploaded(active)

    def _build(self, registry: ImageRegistry, docker: Docker, image: DockerImageAsset) -> Event:
        with self._shown(Active(image, time.monotonic())) as active:

            def say(line: str) -> None:
                self._say(Event(EventKind.LOG, "docker", message=line))

            def doing(words: str) -> None:
                active.doing = words

            registry.publish(image, docker, say, doing)
        return _uploaded(active)

    @contextmanager
    def _shown(self, active: Active) -> Iterator[Active]:
        address = address_of(active.asset)
        self._active[address] = active
        try:
            yield active
        finally:
            del self._active[address]

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise CancelledError


def present(asset: Asset) -> Event:
    """Return the event for an asset that was there already."""
    return Event(EventKind.ASSET, asset_name(asset), "present", data={"key": address_of(asset)})


def _uploaded(active: Active) -> Event:
    data = {"key": address_of(active.asset), "bytes": active.transfer.total}
    return Event(
        EventKind.ASSET, asset_name(active.asset), "uploaded", seconds=time.monotonic() - active.began, data=data
    )


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
