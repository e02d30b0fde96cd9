"""Numbers for Prometheus. What is true of the service is read from the database, so every process says the same; what
a process answered, it counts by itself.
"""

import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from service.models import Run, Source, Stage
from service.parts import Parts

KEPT_SECONDS = 5.0
"""For how long what was counted in the database is said again: anybody may ask, and counting takes a while."""

REGISTRY = CollectorRegistry()
WEBHOOK_SECONDS = Histogram(
    "stagedoor_webhook_seconds",
    "Seconds until a webhook was answered, in this process.",
    registry=REGISTRY,
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

# Not read from the database: old ones are deleted there, and a counter never goes down.
DELIVERIES = Counter(
    "stagedoor_deliveries", "Webhooks stored by this process.", labelnames=["event"], registry=REGISTRY
)


class _Counts(Collector):
    """Runs and stages, counted in the database when they are asked for."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        with self._parts.sessions() as session:
            runs = CounterMetricFamily("stagedoor_runs", "Runs by kind and outcome.", labels=["kind", "outcome"])
            for kind, outcome, count in session.execute(
                select(Run.kind, Run.outcome, func.count()).group_by(Run.kind, Run.outcome)
            ):
                runs.add_metric([kind.value, outcome.value if outcome else "under way"], count)
            yield runs
            behind = GaugeMetricFamily("stagedoor_behind", "What is not yet as it is wanted.", labels=["what"])
            for what, table, wanted in (
                ("stages", Stage, Stage.wanted_generation),
                ("sources", Source, Source.generation),
            ):
                late = select(func.count()).select_from(table).where(wanted > table.done_generation)
                behind.add_metric([what], session.scalar(late) or 0)
            yield behind


class Metrics:
    """What is told of a service. To be made once a process, and safe to share between threads; `clock` gives seconds
    from any point on.
    """

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counting = CollectorRegistry()
        self._counting.register(_Counts(parts))
        self._counted = b""
        self._until = float("-inf")

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        with self._lock:
            due = self._clock() >= self._until
            if due:
                self._until = self._clock() + KEPT_SECONDS
        if due:
            # Outside of the lock: while a slow database counts, the others are told what was counted before.
            self._counted = generate_latest(self._counting)
        return generate_latest(REGISTRY) + self._counted
