"""The store of a single process: its own journal, its own recorder."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tollbook.errors import Unavailable

from .intents import Intents
from .journal import Journal, journals_path, make_directory
from .journaled import JournaledStore, T
from .recent import RECENT
from .recorder import Recorder

LOOKUPS = 4
"""Threads for lookups: more would wait for each other in DuckDB, which has two."""


class LocalStore(JournaledStore):
    """A `Store` whose tables this process owns; see `open_store`. What is still open at exit is closed in good order."""

    def __init__(
        self,
        directory: Path | None,
        *,
        worker: str,
        retention_days: float | None,
        content: bool,
        recent: int = RECENT,
    ) -> None:
        if directory is None:
            journal = Journal(None)
            recorder = Recorder(None, journal=journal.file, retention_days=retention_days, recent=recent)
        else:
            make_directory(directory)
            # The tables first: whoever is refused there must not leave a journal behind.
            recorder = Recorder(directory, retention_days=retention_days, recent=recent)
            journal = Journal(journals_path(directory) / f"{worker}.sqlite")
        super().__init__(journal, directory=directory, worker=worker, content=content)
        self._recorder = recorder
        self._lookups = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="tollbook-lookup")
        self._finish = weakref.finalize(self, _finish, os.getpid(), journal, recorder, self._lookups, self._intents)

    async def _ask(self, read: Callable[[Any], T], verb: str, *arguments: Any) -> T:
        if not self._finish.alive:
            raise Unavailable("The storage is closed.", code="storage_unavailable")
        method = getattr(self._recorder, verb)
        return await asyncio.get_running_loop().run_in_executor(self._lookups, lambda: read(method(*arguments)))

    async def close(self) -> None:
        await asyncio.to_thread(self._finish)


def _finish(
    process: int, journal: Journal, recorder: Recorder, lookups: ThreadPoolExecutor, intents: Intents | None
) -> None:
    if os.getpid() != process:  # a fork's copy: the files, and what is in them, are the parent's
        return
    lookups.shutdown(wait=True)
    journal.stop()
    recorder.close()
    journal.close()
    if intents is not None:
        intents.close()
