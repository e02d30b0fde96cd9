"""The service's own log: one JSON object a line, with the delivery, stage and run that it is about.

Our own lines do not go through the standard library's logging: a record and its frames cost a webhook as much as
checking its signature. What libraries say there is given the same form.
"""

import json
import logging
import sys
from typing import Any

import orjson
import structlog


def configure_logs() -> None:
    """Send structlog's and the standard library's records to standard error as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    as_line = structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[*shared, as_line],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, as_line],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # What these say of each request and each retry is said by us with the ids that matter.
    for chatty in ("botocore", "boto3", "urllib3", "s3transfer", "github", "rq.worker", "alembic", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _Lines:
    """Where the lines of one module go; `name` is the module's."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def write(self, line: str) -> None:
        """Write one line, in one call: lines of several threads stay whole, and a fork leaves no lock behind."""
        sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = exception = fatal = msg = write


def _json(event: dict[str, Any], default: Any) -> str:
    try:
        return orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # half of a surrogate pair, or a number beyond 64 bits
        return json.dumps(event, default=default)
