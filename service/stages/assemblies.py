"""Assemblies that are kept: what was deployed once can be deployed again, without its repository and without a synth.

An assembly is kept as its app wrote it, as one zip in the blob store, and a row that says whose it is. The row stays
when the zip goes. One of the same app, trust level and contents is never written twice.
"""

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.database import insert_into, now
from service.models import AssemblyRow, Run, Stage
from service.parts import Parts
from service.stages.leftovers import keeping_folder
from stagedoor.assembly.inspection import InspectionLimits
from stagedoor.assembly.model import Assembly, FileAsset
from stagedoor.assembly.packing import contents_of, pack, unpack
from stagedoor.assembly.reader import read_assembly
from stagedoor.target import Trust

log = structlog.get_logger(__name__)

UPLOAD_LIMITS = InspectionLimits()
"""What may be uploaded at all; what may be deployed is the target's to say."""


@dataclass(frozen=True, slots=True)
class Keep:
    """An assembly's directory to be kept, and whose it is. `stage` is the stage whose run made it, where one did."""

    directory: Path
    app_id: int
    trust: Trust
    commit: str | None
    stage: str = ""


def keep_upload(parts: Parts, app_id: int, trust: Trust, commit: str | None, zip_file: Path) -> int:
    """Keep an assembly that came as a zip file, and return its row's id.

    The archive is held against what a stranger may send, and read as an assembly; what it holds is held against its
    target when it is deployed. Raises `UserError`s by name.
    """
    with _scratch(parts) as scratch:
        directory = scratch / "assembly"
        unpack(zip_file, directory, UPLOAD_LIMITS)
        return keep(parts, Keep(directory, app_id, trust, commit), scratch)


def fetch_assembly(parts: Parts, assembly_id: int, directory: Path, limits: InspectionLimits) -> None:
    """Unpack a kept assembly into a directory, which is made. Raises `KeyError` where its zip is gone."""
    with parts.sessions() as session:
        blob = session.get_one(AssemblyRow, assembly_id).blob
    if not blob:
        raise KeyError(assembly_id)
    archive = directory.with_name(f"{directory.name}.zip")
    parts.blobs.get_file(blob, archive)
    unpack(archive, directory, limits)
    archive.unlink()


def keep(parts: Parts, wish: Keep, scratch: Path) -> int:
    """Keep an assembly and return its row's id; `scratch` is a folder for the zip.

    One that is larger than the settings allow gets a row without a zip, so that it can be said why there is none.
    """
    contents = contents_of(wish.directory)
    too_large = contents.size > parts.settings.assembly_bytes
    made_for = stage_of(read_assembly(wish.directory), wish.stage)
    with parts.sessions.begin() as session:
        row = _find(session, wish, contents.digest)
        if row is not None and (row.blob or too_large):
            if wish.stage not in ("", row.stage) and wish.stage != made_for:
                row.stage = made_for  # two stages got the same: it knows neither
            return row.id
    blob = ""
    if not too_large:
        archive = scratch / f"{contents.digest}.zip"
        pack(wish.directory, archive)
        # A key of its own, so that taking an old one away never takes this one.
        blob = f"assemblies/{wish.app_id}/{wish.trust.value}/{contents.digest}-{uuid4().hex[:8]}.zip"
        parts.blobs.put_file(blob, archive)
        archive.unlink()
    with parts.sessions.begin() as session:
        row_id, kept = _write(session, wish, contents.digest, contents.size, blob, made_for)
    if blob and kept != blob:
        parts.blobs.delete(blob)  # another run was faster
    return row_id


def stage_of(assembly: Assembly, stage: str) -> str:
    """Return the stage that an assembly knows it is for; empty: it would be the same for another one.

    The library's constructs say so. Another app's is known by the stage's name in a template, standing alone or between
    the separators of names. What an app did with the name and did not write down is not seen.
    """
    if assembly.made_for:
        return stage if stage in assembly.made_for else min(assembly.made_for)
    return stage if stage and _is_named(assembly, stage) else ""


def _is_named(assembly: Assembly, stage: str) -> bool:
    named = re.compile(rf'["/_:-]{re.escape(stage)}["/_:-]')
    templates = {one.template_path for one in assembly.stacks} | {
        asset.source
        for one in assembly.stacks
        for asset in one.assets
        if isinstance(asset, FileAsset) and asset.is_template
    }
    return any(named.search(template.read_text(errors="replace")) for template in templates)


def _find(session: Session, wish: Keep, digest: str) -> AssemblyRow | None:
    return session.scalars(
        select(AssemblyRow)
        .where(AssemblyRow.app_id == wish.app_id, AssemblyRow.trust == wish.trust, AssemblyRow.digest == digest)
        .with_for_update()
    ).one_or_none()


def _write(session: Session, wish: Keep, digest: str, size: int, blob: str, made_for: str) -> tuple[int, str]:
    """Write the row, or give one that has no zip this one; return its id and the zip that it has now."""
    row = {
        "app_id": wish.app_id,
        "trust": wish.trust,
        "digest": digest,
        "commit": wish.commit,
        "blob": blob,
        "stage": made_for,
        "size": size,
        "created_at": now(session),
    }
    statement = insert_into(AssemblyRow, session.get_bind().dialect.name).values(row)
    session.execute(statement.on_conflict_do_nothing())
    found = _find(session, wish, digest)
    if found is None:
        raise LookupError(digest)
    found.blob = found.blob or blob
    return found.id, found.blob


@contextmanager
def _scratch(parts: Parts) -> Iterator[Path]:
    """Make a folder beside the runs' own, gone when it is left."""
    folder = keeping_folder(parts.settings) / f"upload-{uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Keeper:
    """Keeps the assemblies of a stage's runs, each in a thread of its own, when the run is over and told of."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._threads: list[threading.Thread] = []

    def begin(self, run_id: int, wish: Keep) -> None:
        """Take a directory over and return at once. A failure is a line in the log: no run fails for its assembly."""
        folder = keeping_folder(self._parts.settings) / f"run-{run_id}"
        try:
            folder.mkdir(parents=True)
            moved = folder / "assembly"
            wish.directory.rename(moved)
        except OSError:
            log.warning("an assembly is not kept", run_id=run_id, exc_info=True)
            return
        kept = Keep(moved, wish.app_id, wish.trust, wish.commit, wish.stage)
        thread = threading.Thread(target=self._keep, args=(run_id, kept, folder), name=f"keeper-{run_id}")
        thread.start()
        self._threads.append(thread)

    def wait(self) -> None:
        """Return when all that was begun is kept."""
        while self._threads:
            self._threads.pop().join()

    def _keep(self, run_id: int, wish: Keep, folder: Path) -> None:
        try:
            name_assembly(self._parts, run_id, keep(self._parts, wish, folder))
        except Exception:
            log.warning("an assembly is not kept", run_id=run_id, exc_info=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def name_assembly(parts: Parts, run_id: int, assembly_id: int) -> None:
    """Write down which assembly a run deployed, and that it is the stage's unless a later run was done meanwhile."""
    with parts.sessions.begin() as session:
        run = session.get_one(Run, run_id)
        run.assembly_id = assembly_id
        session.execute(
            update(Stage)
            .where(Stage.id == run.stage_id, Stage.done_generation == run.generation, Stage.live_commit.is_not(None))
            .values(assembly_id=assembly_id)
        )
