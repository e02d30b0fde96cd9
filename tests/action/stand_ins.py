"""Stand-ins for the actions of others that `action.yml` uses, which run on GitHub's own backend only.

Each does what its documentation says, as far as ours depends on it. `actions/upload-artifact` follows links and drops
modes ("File permissions are not maintained"); the artifact is where the job, and the demo's GitHub, finds it.
"""

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.action.job import Job


def upload_artifact(job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
    """`actions/upload-artifact`: a zip of a folder's files, whose root is the folder."""
    folder = Path(given["path"])
    packed = io.BytesIO()
    count = 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for base, _, files in os.walk(folder, followlinks=True):
            for name in files:
                path = Path(base, name)
                inside = path.relative_to(folder)
                hidden = any(part.startswith(".") for part in inside.parts)
                if not hidden or given["include-hidden-files"] == "true":
                    archive.writestr(zipfile.ZipInfo(inside.as_posix()), path.read_bytes())
                    count += 1
    assert count or given["if-no-files-found"] != "error", "no files were found"
    job.artifacts[given["name"]] = packed.getvalue()
    return {"artifact-id": str(len(job.artifacts))}


def cache(job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
    """`actions/cache`: what is in the folder of the key is kept from run to run."""
    assert given["key"] in f"stagedoor-engine-{Path(given['path']).name}"
    return {"cache-hit": str(Path(given["path"]).is_dir()).lower()}


STAND_INS = {"actions/upload-artifact": upload_artifact, "actions/cache": cache}
