"""Nothing is kept: for programs that want neither rows nor conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from tollbook.call import Attempt, Call
from tollbook.errors import NotFound, Unavailable

from . import Turn, Unfinished

if TYPE_CHECKING:
    from .spending import Filters, Frame, Question


class NoStore:
    """A `Store` that forgets everything at once."""

    def begins(self, call: Call, attempt: Attempt, input_tokens: int) -> None:
        """Nobody will ask."""

    def heard(self, call: Call, attempt: Attempt, output_tokens: int) -> None:
        """Nobody will ask."""

    async def unfinished(self) -> AsyncIterator[Unfinished]:
        nobody: tuple[Unfinished, ...] = ()
        for each in nobody:
            yield each

    async def record(self, call: Call, turn: Turn | None) -> None:
        """Nothing is kept, so nothing can fail."""

    async def turn(self, response_id: str, key_id: str | None) -> Turn:  # noqa: ARG002 - nobody has any
        raise NotFound(f"No response found with id '{response_id}'.", param="response_id")

    async def chain(self, response_id: str, key_id: str | None) -> list[Turn]:
        return [await self.turn(response_id, key_id)]

    async def delete(self, response_id: str, key_id: str | None) -> Turn:
        return await self.turn(response_id, key_id)

    async def call(self, call_id: str, key_id: str | None) -> dict[str, Any]:  # noqa: ARG002
        raise NotFound(f"No call found with id '{call_id}'.", param="call_id")

    async def calls(self, *, key_id: str | None, limit: int, before: str | None) -> list[dict[str, Any]]:  # noqa: ARG002
        return []

    async def spend(self, question: Question, key_id: str | None) -> list[dict[str, Any]]:  # noqa: ARG002
        return []

    async def frame(self, name: Frame, filters: Filters, key_id: str | None) -> bytes:  # noqa: ARG002
        raise Unavailable("Nothing is kept.", code="storage_off")

    async def progress(self) -> dict[str, str | None]:
        return {}

    async def close(self) -> None:
        """There is nothing to let go of."""
