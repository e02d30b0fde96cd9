"""What publishing costs beside a plain parallel boto3 upload of the same bytes, and the memory that it takes.

python -m bench.publishing [--rounds N] [--assets N] [--gigabytes N]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from bench.alternating import Side, alternate, medians
from bench.results import Result, write_results
from demo.aws.server import LocalAws
from stagedoor.assembly.model import Assembly, FileAsset, Packaging, Stack
from stagedoor.assembly.target_names import assets_bucket
from stagedoor.deploy.bootstrap import bootstrap
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.deploy.publishing.publish import Publishing
from stagedoor.deploy.together import run_alone
from stagedoor.events import silent
from stagedoor.target import Target

MEGABYTE = 1 << 20
BAR = 1.2
MEMORY_BAR = 150
ACCOUNT = "000000000042"
AT_ONCE = 16

HOW = """
Publishing: {assets} files of 1 MB (random bytes) go into an empty bucket of the local AWS. The plain side is
`put_object` of the same files under the same keys from {at_once} threads with one client, which is also how many
threads publishing has; it asks nothing before and remembers nothing. Both sides begin with a client that has
connections; {rounds} rounds, alternating, after a warm-up; a number is the median of its side. The local AWS runs on
the same machine and takes most of the time of both. It answers at once: on a real line both would wait for the line.
Hashing, by which an asset gets its key, belongs to the plan and is told for itself. "From folders" packs the same
number of megabytes of Python source before it sends them; there is no other side.

Memory: a process of its own publishes {gigabytes:g} GiB (a quarter in one file, a quarter in a folder that is packed,
the rest in files of 16 MiB); the number is the most that the whole process held, the interpreter and boto3 included.
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """A bootstrapped account of a local AWS and a folder for assemblies."""

    folder: Path
    target: Target
    clients: Clients

    def empty_bucket(self) -> None:
        """Take all assets away."""
        s3, bucket = self.clients.client("s3", Phase.PUBLISH), assets_bucket(self.target)
        while found := s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": one["Key"]} for one in found if "Key" in one]})

    def assembly(self, name: str, assets: Sequence[FileAsset]) -> Assembly:
        """Return an addressed assembly of one stack with these assets."""
        template = self.folder / f"{name}.template.json"
        template.write_text('{"Resources": {}}')
        one = Stack(name, name, name, template, self.target.account, self.target.region, assets=tuple(assets))
        return address_assets(Assembly(self.folder, (one,)), self.target, self.folder / "addressed")

    def asset(self, source: Path) -> FileAsset:
        """Return a file, or a folder that is packed, as an asset."""
        packaging = Packaging.ZIP if source.is_dir() else Packaging.FILE
        return FileAsset(source.name, source, packaging, assets_bucket(self.target), f"{source.name}.asset")


@contextmanager
def ground() -> Iterator[Ground]:
    """Start a local AWS."""
    with tempfile.TemporaryDirectory(prefix="stagedoor-bench-") as folder, LocalAws(Path(folder) / "aws") as aws:
        os.environ.update(aws.environment(ACCOUNT))
        target = Target("bench", ACCOUNT, "us-east-1")
        clients = Clients(target)
        bootstrap(clients, target, silent)
        app = Path(folder) / "app"
        app.mkdir()
        yield Ground(app, target, clients)


def publish(assembly: Assembly, clients: Clients) -> None:
    """Publish all that the assembly's stacks need."""
    with Publishing(assembly, [stack.id for stack in assembly.stacks], clients, silent) as publishing:
        run_alone(publishing.until_done())


def plain_upload(assembly: Assembly) -> None:
    """Upload the same files under the same keys, as anybody would write it."""
    s3 = boto3.Session().client("s3", config=Config(max_pool_connections=AT_ONCE))

    def put(asset: FileAsset) -> None:
        with asset.source.open("rb") as body:
            s3.put_object(Bucket=asset.bucket, Key=asset.key, Body=body)

    files = [asset for stack in assembly.stacks for asset in stack.assets if isinstance(asset, FileAsset)]
    with ThreadPoolExecutor(AT_ONCE) as senders:
        list(senders.map(put, files))


def random_files(folder: Path, count: int, size: int) -> list[Path]:
    """Make files of random bytes."""
    made = [folder / f"{size}-{number}" for number in range(count)]
    for path in made:
        path.write_bytes(os.urandom(size))
    return made


def source_folders(folder: Path, count: int) -> list[Path]:
    """Make folders of about a megabyte of Python source each: the standard library's, a little different in each."""
    library = b"".join(path.read_bytes() for path in sorted(Path(os.__file__).parent.glob("*.py")))[:MEGABYTE]
    made = [folder / f"source-{number}" for number in range(count)]
    for number, path in enumerate(made):
        path.mkdir()
        (path / "module.py").write_bytes(b"# %d\n" % number + library)
    return made


def speed(on: Ground, assets: int, rounds: int) -> list[Result]:
    """Measure both sides."""
    files = on.assembly("Files", [on.asset(path) for path in random_files(on.folder, assets, MEGABYTE)])
    folders = on.assembly("Folders", [on.asset(path) for path in source_folders(on.folder, assets)])
    sides = {
        "ours": Side(lambda: publish(files, on.clients), lambda _: on.empty_bucket()),
        "plain": Side(lambda: plain_upload(files), lambda _: on.empty_bucket()),
        "ours, from folders": Side(lambda: publish(folders, on.clients), lambda _: on.empty_bucket()),
        "ours, all there": Side(lambda: publish(files, on.clients), lambda _: publish(files, on.clients)),
        "hashing": Side(lambda: address_assets(files, on.target, on.folder / "again")),
    }
    took = medians(alternate(sides, rounds))
    ratio = took["ours"] / took["plain"]
    plain = "a plain parallel boto3 upload of the same bytes"
    return [
        Result(
            f"publishing {assets} assets of 1 MB", round(ratio, 2), "times", f"≤ {BAR:g} times", ratio <= BAR, plain
        ),
        *(Result(f"{name}", round(seconds, 2), "s", "", True, "") for name, seconds in took.items()),
    ]


def memory(gigabytes: float) -> Result:
    """Measure the memory of a process that publishes much."""
    command = [sys.executable, "-m", "bench.publishing", "--only-memory", str(gigabytes)]
    most = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024
    return Result(
        f"memory for {gigabytes:g} GiB of assets", round(most), "MiB", f"≤ {MEMORY_BAR} MiB", most <= MEMORY_BAR, ""
    )


def publish_much(gigabytes: float) -> int:
    """Publish many bytes, and return the most memory that this process held, in KiB."""
    quarter = int(gigabytes * 256)
    with ground() as on:
        packed = on.folder / "packed"
        packed.mkdir()
        for place, megabytes in ((on.folder / "large", quarter), (packed / "large", quarter)):
            with place.open("wb") as file:
                for _ in range(megabytes):
                    file.write(os.urandom(MEGABYTE))
        files = [on.folder / "large", packed, *random_files(on.folder, 2 * quarter // 16, 16 * MEGABYTE)]
        publish(on.assembly("Much", [on.asset(path) for path in files]), on.clients)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--assets", type=int, default=200)
    arguments.add_argument("--gigabytes", type=float, default=1.0)
    arguments.add_argument("--only-memory", type=float, metavar="GIGABYTES", help="print the KiB of one run")
    options = arguments.parse_args()
    if options.only_memory:
        print(publish_much(options.only_memory))
        return 0
    with ground() as on:
        results = speed(on, options.assets, options.rounds)
    results.append(memory(options.gigabytes))
    how = HOW.format(assets=options.assets, at_once=AT_ONCE, rounds=options.rounds, gigabytes=options.gigabytes)
    met = write_results("publishing", "Publishing assets", results, how, ["boto3", "s3transfer"])
    for result in results:
        print(f"{result.metric}: {result.value:g} {result.unit} {result.bar and f'(bar {result.bar})'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
