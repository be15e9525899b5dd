"""What every store with a journal shares: how to record, and how to ask a recorder that may be near or far."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tollbook.call import Attempt, Call
from tollbook.errors import NotFound

from . import Turn, Unfinished, pack
from .intents import Intents, left
from .journal import Journal, journals_path
from .pack import Kept
from .spending import Filters, Frame, Question

T = TypeVar("T")


class JournaledStore(ABC):
    """A `Store` that writes its own journal. Subclasses say how a recorder is asked."""

    def __init__(self, journal: Journal, *, directory: Path | None, worker: str, content: bool) -> None:
        self._journal = journal
        self._content = content
        self._left = None if directory is None else journals_path(directory)
        self._intents = None if self._left is None else Intents(self._left, worker)

    @abstractmethod
    async def _ask(self, read: Callable[[Any], T], verb: str, *arguments: Any) -> T:
        """What the recorder's method `verb` answers, as `read` makes it out off the event loop."""

    @abstractmethod
    async def close(self) -> None: ...

    def begins(self, call: Call, attempt: Attempt, input_tokens: int) -> None:
        if self._intents is not None:
            self._intents.begins(call, attempt, input_tokens)

    def heard(self, call: Call, attempt: Attempt, output_tokens: int) -> None:
        if self._intents is not None:
            self._intents.heard(call, attempt, output_tokens)

    async def unfinished(self) -> AsyncIterator[Unfinished]:
        if self._left is None:
            return
        for file in await asyncio.to_thread(list, left(self._left)):
            try:
                for each in await asyncio.to_thread(file.calls):
                    if not await self._booked(each.call):
                        yield each
            except BaseException:
                file.release()
                raise
            file.settle()

    async def _booked(self, call: Call) -> bool:
        try:
            await self.call(call.id, None)
        except NotFound:
            return False
        return True

    async def record(self, call: Call, turn: Turn | None) -> None:
        await self._journal.append(pack.entry(call, turn if self._content and call.keep == "full" else None))
        if self._intents is not None:
            self._intents.ends(call)

    def oldest(self) -> int | None:
        """When the oldest call that may not be in the tables yet was recorded, in nanoseconds since 1970; None for none,
        and where the journal cannot say."""
        try:
            return self._journal.file.oldest()
        except sqlite3.Error:
            return None

    async def turn(self, response_id: str, key_id: str | None) -> Turn:
        return await self._ask(_turn, "turn", pack.clean(response_id), key_id)

    async def chain(self, response_id: str, key_id: str | None) -> list[Turn]:
        return await self._ask(_turns, "chain", pack.clean(response_id), key_id)

    async def delete(self, response_id: str, key_id: str | None) -> Turn:
        return await self._ask(_turn, "delete", pack.clean(response_id), key_id)

    async def call(self, call_id: str, key_id: str | None) -> dict[str, Any]:
        return await self._ask(_as_it_is, "call", pack.clean(call_id), key_id)

    async def calls(self, *, key_id: str | None, limit: int, before: str | None) -> list[dict[str, Any]]:
        return await self._ask(_as_it_is, "calls", key_id, limit, pack.clean(before))

    async def spend(self, question: Question, key_id: str | None) -> list[dict[str, Any]]:
        return await self._ask(_as_it_is, "spend", msgspec.to_builtins(question), key_id)

    async def frame(self, name: Frame, filters: Filters, key_id: str | None) -> bytes:
        return await self._ask(_as_it_is, "frame", name, msgspec.to_builtins(filters), key_id)

    async def progress(self) -> dict[str, str | None]:
        return await self._ask(_as_it_is, "progress")


def _turn(kept: Kept) -> Turn:
    return pack.unpack_turn(kept)


def _turns(kept: Sequence[Kept]) -> list[Turn]:
    return [pack.unpack_turn(each) for each in kept]


def _as_it_is(answer: Any) -> Any:
    return answer
