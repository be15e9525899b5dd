"""What every store with a journal shares: how to record, and how to ask a recorder that may be near or far."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tollbook.call import Call

from . import Turn, pack
from .journal import Journal
from .pack import Kept

T = TypeVar("T")


class JournaledStore(ABC):
    """A `Store` that writes its own journal. Subclasses say how a recorder is asked."""

    def __init__(self, journal: Journal, *, content: bool) -> None:
        self._journal = journal
        self._content = content

    @abstractmethod
    async def _ask(self, read: Callable[[Any], T], verb: str, *arguments: Any) -> T:
        """What the recorder's method `verb` answers, as `read` makes it out off the event loop."""

    @abstractmethod
    async def close(self) -> None: ...

    async def record(self, call: Call, turn: Turn | None) -> None:
        await self._journal.append(pack.entry(call, turn if self._content else None))

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


def _turn(kept: Kept) -> Turn:
    return pack.unpack_turn(kept)


def _turns(kept: Sequence[Kept]) -> list[Turn]:
    return [pack.unpack_turn(each) for each in kept]


def _as_it_is(answer: Any) -> Any:
    return answer
