"""A bare git repository on disk, changed without a work tree."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

NO_COMMIT = "0" * 40
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Mona",
    "GIT_AUTHOR_EMAIL": "mona@example.com",
    "GIT_COMMITTER_NAME": "Mona",
    "GIT_COMMITTER_EMAIL": "mona@example.com",
}


class NothingThere(LookupError):
    """No such ref or object."""


@dataclass(frozen=True, slots=True)
class Change:
    """A file that differs between two commits; `status` is GitHub's word: added, modified, removed."""

    path: str
    status: str


class GitRepository:
    """The real commits behind a repository of the local GitHub. `path` ends with `.git`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, folder: Path | None, branch: str) -> Self:
        """Make a bare repository whose first commit on `branch` is what `folder` holds, less what it ignores."""
        repository = cls(path)
        path.mkdir(parents=True)
        repository._git("init", "--quiet", "--bare", f"--initial-branch={branch}")
        # As on GitHub: any commit that is there can be fetched by its id, and partial clones work.
        repository._git("config", "uploadpack.allowAnySHA1InWant", "true")
        repository._git("config", "uploadpack.allowFilter", "true")
        with tempfile.TemporaryDirectory() as scratch:
            index = {"GIT_INDEX_FILE": f"{scratch}/index"}
            if folder:
                repository._git(f"--work-tree={folder}", "add", "--all", "--", ".", env=index, cwd=folder)
            tree = repository._git("write-tree", env=index)
        repository.move(branch, repository._git("commit-tree", tree, "-m", "The beginning"))
        return repository

    def commit(self, branch: str, files: Mapping[str, str | bytes | None], message: str, start: str) -> str:
        """Commit `files` (None removes one) on `branch`, which is born at `start` if it is new; return the commit."""
        parent = self.find(f"refs/heads/{branch}") or self.resolve(start)
        with tempfile.TemporaryDirectory() as scratch:
            index = {"GIT_INDEX_FILE": f"{scratch}/index"}
            self._git("read-tree", parent, env=index)
            entries = "".join(self._index_entry(path, content) for path, content in files.items())
            self._git("update-index", "--index-info", env=index, stdin=entries.encode())
            tree = self._git("write-tree", env=index)
        commit = self._git("commit-tree", tree, "-p", parent, "-m", message)
        self.move(branch, commit)
        return commit

    def _index_entry(self, path: str, content: str | bytes | None) -> str:
        if content is None:
            return f"0 {NO_COMMIT}\t{path}\n"
        data = content.encode() if isinstance(content, str) else content
        blob = self._git("hash-object", "-w", "--stdin", stdin=data)
        return f"100644 {blob}\t{path}\n"

    def merge(self, base: str, head: str, message: str) -> str:
        """Merge the commit `head` into the branch `base` with a merge commit, and return it."""
        commit = self.merge_of(base, head, message)
        self.move(base, commit)
        return commit

    def merge_of(self, base: str, head: str, message: str) -> str:
        """Return a merge commit of a branch and the commit `head`, which is on no branch."""
        onto = self.resolve(f"refs/heads/{base}")
        tree = self._git("merge-tree", "--write-tree", onto, head)
        return self._git("commit-tree", tree, "-p", onto, "-p", head, "-m", message)

    def move(self, branch: str, commit: str) -> None:
        """Point a branch at a commit."""
        self.set_ref(f"refs/heads/{branch}", commit)

    def set_ref(self, ref: str, commit: str) -> None:
        """Point any ref, named in full, at a commit."""
        self._git("update-ref", ref, commit)

    def fetch(self, other: "GitRepository", branch: str, ref: str) -> None:
        """Bring a branch of another repository here, under `ref`."""
        self._git("fetch", "--quiet", "--no-tags", str(other.path), f"+refs/heads/{branch}:{ref}")

    def delete(self, branch: str) -> None:
        """Remove a branch."""
        self._git("update-ref", "-d", f"refs/heads/{branch}")

    def find(self, ref: str) -> str | None:
        """Return the commit that a branch, ref or (short) id stands for."""
        for name in (ref, f"refs/heads/{ref}"):
            found = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            if found is not None:
                return found.decode().strip()
        return None

    def resolve(self, ref: str) -> str:
        """Return the commit of `ref`, or raise `NothingThere`."""
        found = self.find(ref)
        if found is None:
            raise NothingThere(ref)
        return found

    def branches(self) -> dict[str, str]:
        """Return each branch and its commit."""
        lines = self._git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads").splitlines()
        return {name: commit for name, _, commit in (line.rpartition(" ") for line in lines)}

    def read(self, ref: str, path: str) -> bytes | None:
        """Return a file as it is at `ref`, or None."""
        return self._try("cat-file", "blob", f"{self.resolve(ref)}:{path}")

    def about(self, commit: str) -> tuple[str, str, str, tuple[str, ...]]:
        """Return a commit's tree, its message, when it was made (ISO 8601) and its parents, all in one question."""
        said = self._git("log", "-1", "--format=%T%n%cI%n%P%n%B", commit)
        tree, date, parents, message = f"{said}\n\n\n".split("\n", 3)
        return tree, message.strip("\n"), date, tuple(parents.split())

    def changes(self, base: str, head: str) -> list[Change]:
        """Return what `head` changed since it left `base`, as a pull request shows it."""
        words = {"A": "added", "D": "removed"}
        fields = self._git("diff", "--name-status", "--no-renames", "-z", f"{base}...{head}").split("\0")
        return [
            Change(path, words.get(status, "modified"))
            for status, path in zip(fields[::2], fields[1::2], strict=False)
            if path
        ]

    def _git(
        self, *arguments: str, env: dict[str, str] | None = None, stdin: bytes = b"", cwd: Path | None = None
    ) -> str:
        result = subprocess.run(
            ["git", f"--git-dir={self.path}", *arguments],
            env={**os.environ, **_ENVIRONMENT, **(env or {})},
            input=stdin,
            capture_output=True,
            check=False,
            cwd=cwd or self.path,
        )
        if result.returncode:
            raise RuntimeError(f"git {' '.join(arguments)}: {result.stderr.decode()}{result.stdout.decode()}")
        return result.stdout.decode().strip("\n")

    def _try(self, *arguments: str) -> bytes | None:
        result = subprocess.run(["git", f"--git-dir={self.path}", *arguments], capture_output=True, check=False)
        return None if result.returncode else result.stdout
