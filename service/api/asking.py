"""Threads for what asks GitHub, apart from those that all of asyncio shares.

A GitHub that takes connections and says nothing holds a thread for a minute. Asyncio has six threads on two cores
(`asyncio.to_thread`); were those to wait, so would pages' streams, the relay's rows and its health check, and a load
balancer would put others in their place, which wait likewise.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

MOST_THREADS = 8

P = ParamSpec("P")
T = TypeVar("T")


class Asking:
    """Threads of one purpose; whoever comes when all are taken waits, as a coroutine."""

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="asking-github")

    async def __call__(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns that may ask GitHub."""
        call = partial(contextvars.copy_context().run, question, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
