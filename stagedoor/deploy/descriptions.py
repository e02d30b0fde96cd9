"""botocore's descriptions of the AWS services, read in a third of the time that its own loader takes.

Each command speaks to three or four services, and reads their descriptions anew. botocore's loader looks into the
folders of all four hundred before that, and for each session reads 1.2 MB of endpoints as they were told before
services had rules for them (`endpoint-rule-set-1`); of those, the rules and `partitions.json` hold all that is needed.
"""

import gzip
import json
import os
from typing import Any

from botocore.loaders import JSONFileLoader, Loader


class _Files(JSONFileLoader):
    """Reads plain dictionaries, which keep their order by themselves."""

    def load_file(self, file_path: str) -> Any:
        """Return the content of a JSON file, packed or not; None where there is none. The path has no suffix."""
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            try:
                with opened(file_path + suffix, "rb") as file:
                    return json.loads(file.read())
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None


class Descriptions(Loader):
    """A loader for botocore's sessions (their component `data_loader`). It may be shared between them."""

    FILE_LOADER_CLASS = _Files

    def list_available_services(self, type_name: str) -> list[str]:
        """Name all folders of services; whether one has a description of this type is seen when it is read."""
        return sorted({name for path in self.search_paths if os.path.isdir(path) for name in os.listdir(path)})

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return a description and where it is from; of endpoints, what the partitions say."""
        if name != "endpoints":
            found: tuple[Any, str] = super().load_data_with_path(name)
            return found
        told, path = super().load_data_with_path("partitions")
        return {"partitions": [_endpoints(partition) for partition in told["partitions"]]}, path


def _endpoints(partition: dict[str, Any]) -> dict[str, Any]:
    """Return a partition in the shape of `endpoints.json`, without the services that differ from the rule."""
    return {
        "partition": partition["id"],
        "dnsSuffix": partition["outputs"]["dnsSuffix"],
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "defaults": {
            "hostname": "{service}.{region}.{dnsSuffix}",
            "protocols": ["https"],
            "signatureVersions": ["v4"],
        },
        # The only one that may be asked for without a region: its rules then say where it is.
        "services": {"s3": {"partitionEndpoint": "aws-global", "endpoints": {}}},
    }
