"""A job as far as we trust a queue: what the doorbell rings for, and nothing else."""

from collections.abc import Callable
from typing import Any

from rq.job import Job
from rq.utils import import_attribute

from service.stages.doorbell import JOBS
from service.worker.parent import end_with_parent


class NotARing(Exception):
    """The queue holds a job that nobody of us put there."""


class RingJob(Job):
    """Runs one of the doorbell's jobs.

    To RQ a job is the name of any function that can be imported, and so are its callbacks: whoever can write to the
    queue could run anything with the service's credentials. The queue is not guarded as well as those are; the embedded
    one is open to every process of the machine.
    """

    @property
    def func(self) -> Callable[..., Any]:
        """Return the job's function; raises `NotARing` for any that is not the doorbell's."""
        if self.func_name not in JOBS or self.instance is not None:
            raise NotARing(f"{self.func_name!r} is nothing that is rung for")
        function: Callable[..., Any] = import_attribute(self.func_name)
        return function

    @property
    def success_callback(self) -> None:
        """Return none, whatever the queue says; so do the others."""

    @property
    def failure_callback(self) -> None:
        """Return none."""

    @property
    def stopped_callback(self) -> None:
        """Return none."""

    def perform(self) -> Any:
        """Do the job in its work-horse, which ends with its worker: a service that is stopped does not go on unseen."""
        end_with_parent()
        return super().perform()

    def send_webhooks(self, *_arguments: Any, **_keywords: Any) -> None:
        """Send nothing to an address that the queue names."""
