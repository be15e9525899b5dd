"""The same for code without a loop: an event loop in a thread of its own, and the calls that wait for it.

Any number of threads may wait at once, also one that runs an event loop itself (Jupyter): its loop stands still meanwhile,
this one does not.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

_UNWINDING = 5.0
"""Seconds that what is cancelled may take to let go of its connections."""


class Background:
    """An event loop in a daemon thread, begun with the first call and ended by `stop`, for good."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def usable(self) -> bool:
        """Whether it is not stopped, and this process the one that made it: threads do not live on in a fork."""
        return not self._stopped and self._process == os.getpid()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it there and wait. The caller's context (variables, the current span) goes along.

        An interrupt of the waiting thread (KeyboardInterrupt) cancels the work, and is raised once that has let go of its
        connection. Raises RuntimeError when it is not usable, and in the loop's own thread, which would wait for ever.
        """
        if not self.usable or threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(
                "This is the thread of Tollbook's own loop: await the asynchronous function instead."
                if self.usable
                else "It was closed, or belongs to the process that this one was forked from."
            )
        loop = self._begun()
        task: list[asyncio.Task[T]] = []
        done: Future[T] = Future()
        loop.call_soon_threadsafe(lambda: task.append(_begin(loop, work, done)))
        try:
            return done.result()
        except BaseException:
            if not done.done():
                loop.call_soon_threadsafe(lambda: task[0].cancel())  # noqa: PLW0108 - not there yet, perhaps
                wait((done,), _UNWINDING)
            raise

    def stop(self) -> None:
        """Cancel what is under way there, let it finish, end the thread. Stopping twice is stopping once."""
        with self._starting:
            begun = not self._stopped and self._loop is not None
            self._stopped = True
        if begun and self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_UNWINDING)

    def __del__(self) -> None:
        """Nobody can call any more, so nobody waits: the thread ends by itself."""
        if self.usable and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _begun(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_live, args=(self._loop,), name="tollbook-loop", daemon=True)
                self._thread.start()
            return self._loop


def _begin(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], done: Future[T]) -> asyncio.Task[T]:
    """A task that tells its end to another thread."""

    def tell(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            done.set_exception(RuntimeError("The Router was closed during this call."))
        elif (failure := task.exception()) is not None:
            done.set_exception(failure)
        else:
            done.set_result(task.result())

    task = loop.create_task(work)
    task.add_done_callback(tell)
    return task


def _live(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_end_others())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _end_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
