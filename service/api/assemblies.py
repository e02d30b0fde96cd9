"""Assemblies from elsewhere than the service's own synth. They go past memory, into a file, as they come in."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from sqlalchemy import select
from starlette.requests import ClientDisconnect, Request

from service.access.audit import audit
from service.access.callers import Caller, Right
from service.access.errors import AccessError, Forbidden, GitHubAway, UnknownStage
from service.api.answers import AssemblyAnswer
from service.api.bodies import UploadQuery
from service.api.door import Door
from service.api.operation import ZIP, declare
from service.api.problems import BodyTooLarge, BodyTooSlow, ContentRefused, WrongMediaType
from service.models import App, Stage
from service.stages.assemblies import keep_upload
from stagedoor.errors import UserError
from stagedoor.target import Trust

PIECE_SECONDS = 30.0  # a sender that says nothing for so long has gone
WHOLE_SECONDS = 900.0  # and one that takes so long for all of it keeps others out
AT_ONCE = 4
_WRITTEN_BYTES = 1024 * 1024
_STALE_SECONDS = 6 * 3600


class UnknownApp(AccessError):
    """The repository has no such app, as far as the service knows."""

    id = "unknown-app"
    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The service knows no app {name} in this repository.",
            "Its first stage is born of a pull request or a push.",
        )


class TooManyUploads(AccessError):
    """This process takes in as many uploads as it can."""

    id = "too-many-uploads"
    status = 503

    def __init__(self) -> None:
        super().__init__("Too many assemblies are being uploaded at this moment.", "Try again in some seconds.")


@declare(
    "POST",
    "/assemblies",
    tag="assemblies",
    status=201,
    body=ZIP,
    problems=(Forbidden, GitHubAway, UnknownApp, UnknownStage, ContentRefused, TooManyUploads, BodyTooSlow),
)
async def upload_assembly(door: Door, request: Request, caller: Caller, query: UploadQuery) -> AssemblyAnswer:
    """Upload an assembly, to be deployed by POST /stages/{stage_id}/deploys.

    It is looked through as hostile input before it is kept, and again against its target when it is deployed. It is for
    previews, unless `stage` names a stage whose trust it is to have.
    """
    app_id, trust = await door.asking(_place, door, caller, query)
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != ZIP.type:
        raise WrongMediaType(given, ZIP.type)
    limit = door.parts.settings.upload_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    if door.uploads.locked():
        raise TooManyUploads
    async with door.uploads:
        folder = await asyncio.to_thread(_folder, door.parts.settings.data_dir / "uploads")
        try:
            file = folder / "assembly.zip"
            await _receive(request, file, limit)
            return await asyncio.to_thread(_keep, door, caller, query, app_id, trust, file)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _place(door: Door, caller: Caller, query: UploadQuery) -> tuple[int, Trust]:
    """Return the app that an assembly is of, and the trust that it is given."""
    repository_id = door.access.let_into_repository(
        caller, query.repository, query.stage, Right.DEPLOY, commit=query.commit or ""
    )
    with door.parts.sessions() as session:
        app = session.scalars(
            select(App).where(App.repository_id == repository_id, App.name == query.app)
        ).one_or_none()
        if app is None:
            raise UnknownApp(query.app)
        if query.stage is None:
            return app.id, Trust.PREVIEW
        stage = session.scalars(select(Stage).where(Stage.app_id == app.id, Stage.name == query.stage)).one_or_none()
    if stage is None:
        raise UnknownStage(query.stage)
    if caller.of_pull_request and stage.trust is not Trust.PREVIEW:
        raise Forbidden
    return app.id, stage.trust


async def _receive(request: Request, file: Path, limit: int) -> None:
    """Write the body to a file as it comes. Raises `BodyTooLarge` and `BodyTooSlow`."""
    size, waiting = 0, bytearray()
    pieces = request.stream()
    until = time.monotonic() + WHOLE_SECONDS
    with file.open("wb") as opened:
        while True:
            try:
                async with asyncio.timeout(min(PIECE_SECONDS, until - time.monotonic())):
                    piece = await anext(pieces, None)
            except (TimeoutError, ClientDisconnect):
                raise BodyTooSlow from None
            if piece is None:
                break
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            waiting += piece
            if len(waiting) >= _WRITTEN_BYTES:
                await asyncio.to_thread(opened.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(opened.write, bytes(waiting))


def _keep(door: Door, caller: Caller, query: UploadQuery, app_id: int, trust: Trust, file: Path) -> AssemblyAnswer:
    try:
        found = keep_upload(door.parts, app_id, trust, query.commit, file)
    except UserError as error:
        raise ContentRefused(error) from None
    with door.parts.sessions.begin() as session:
        data = {"app": query.app, "commit": query.commit, "trust": trust.value, "bytes": file.stat().st_size}
        audit(session, caller, "upload", subject=f"assembly {found}", data=data)
    return AssemblyAnswer(assembly=found)


def _folder(above: Path) -> Path:
    """Return a new folder; what a process that died has left behind is taken away."""
    above.mkdir(parents=True, exist_ok=True)
    for old in above.iterdir():
        if old.stat().st_mtime < time.time() - _STALE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=above))


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(limit, "Leave out what the app does not need, or have STAGEDOOR_UPLOAD_BYTES raised.")
