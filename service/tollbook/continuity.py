"""A follow-up goes to the deployment that made what it follows; only there are its cache, its stored response and its
sealed reasoning.

Who made it is told by the turn of `previous_response_id`, by the turn of an `item_reference`, or by `Makers` for what a
native upstream sealed. When that deployment is down, at its limits or not configured any more, another one is given the
chain in full, without what only its maker can read. Such an answer is marked: header `x-tollbook-continuity: replayed`,
and a note on the row and the span.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2s
from typing import Any, Protocol

from .call import Call
from .errors import Conflict
from .responses.seals import sealed
from .responses.types import Item, Request, Response
from .storage import Maker, Turn

REPLAYED = "continuity: replayed"
"""The note on a call that another deployment answered than the one that made what it follows."""

_KEPT = 100_000
"""Sealed items whose maker is remembered."""


_LOOKED_UP = 500
"""Marks of one request that are looked up on disk, the latest ones."""


class Table(Protocol):
    """Where makers outlive the process: storage/makers.py."""

    def learn(self, marks: list[bytes], maker: Maker) -> None: ...

    def find(self, marks: Sequence[bytes]) -> dict[bytes, Maker]: ...


class Makers:
    """Which deployment of a native upstream sealed a piece of reasoning.

    Clients that keep their own history send it back without saying whose it is (`store: false` with
    `include: ["reasoning.encrypted_content"]`). Only digests are kept: the latest 100,000 in memory, and while `lasting` in
    `table`, where other workers and the next start find them.
    """

    def __init__(self, table: Table | None = None, *, lasting: bool = False) -> None:
        self.lasting = lasting
        """Whether it is worth a disk: where every model has one deployment only, nobody else could be meant."""
        self._table = table
        self._makers: OrderedDict[bytes, Maker] = OrderedDict()

    def learn(self, response: Response, maker: Maker) -> None:
        """Remember who sealed what is in a native upstream's response."""
        marks = [mark for item in response.get("output") or () for mark in _marks(item, made=True)]
        self._remember(dict.fromkeys(marks, maker))
        if marks and self._table is not None and self.lasting:
            self._table.learn(marks, maker)

    async def recall(self, request: Request) -> None:
        """Look up in the table what the request holds of sealed items and memory does not know."""
        items = request.get("input")
        if self._table is None or not self.lasting or not isinstance(items, list):
            return
        unknown = [mark for item in items for mark in _marks(item) if mark not in self._makers][-_LOOKED_UP:]
        if unknown:
            self._remember(await asyncio.to_thread(self._table.find, unknown))

    def _remember(self, makers: dict[bytes, Maker]) -> None:
        for mark, maker in makers.items():
            self._makers[mark] = maker
            self._makers.move_to_end(mark)
        while len(self._makers) > _KEPT:
            self._makers.popitem(last=False)

    def maker(self, item: Item) -> Maker | None:
        """Who sealed an item, or gave a referenced one its id; None for what is not known or not sealed."""
        return next((maker for mark in _marks(item) if (maker := self._makers.get(mark))), None)

    def owner(self, request: Request) -> Maker | None:
        """Who sealed the latest of the request's items that somebody sealed."""
        items = request.get("input")
        if not self._makers or not isinstance(items, list):
            return None
        return next((maker for item in reversed(items) if (maker := self.maker(item))), None)

    def legible(self, request: Request, deployment: str) -> Request:
        """The request without reasoning that another deployment sealed."""
        items = request.get("input")
        if not self._makers or not isinstance(items, list):
            return request
        kept = [i for i in items if i.get("type") != "reasoning" or _made_by(self.maker(i), deployment)]
        return request if len(kept) == len(items) else {**request, "input": kept}


def _made_by(maker: Maker | None, deployment: str) -> bool:
    """Whether nobody is known to have made it, or this deployment is."""
    return maker is None or maker.deployment == deployment


def _marks(item: Any, *, made: bool = False) -> list[bytes]:
    """What tells an item apart: its seal, and its id. The id of an input item says something where only that is given, and
    for reasoning; every item that a deployment `made` may be referred to later."""
    if not isinstance(item, dict):
        return []
    kind, content, identifier = item.get("type"), item.get("encrypted_content"), item.get("id")
    found = []
    if kind in ("reasoning", "compaction") and isinstance(content, str) and content and not sealed(content):
        found.append(content)
    if (made or kind in ("reasoning", "item_reference")) and isinstance(identifier, str):
        found.append(identifier)
    return [blake2s(text.encode(errors="replace"), digest_size=12).digest() for text in found]


def continues(parent: Turn | None, *, native: bool, deployment: str) -> bool:
    """Whether the upstream itself keeps the parent, so that naming it is enough."""
    return bool(parent and native and parent.native and parent.deployment == deployment)


def mark(call: Call, owner: Maker | None, deployment: str) -> None:
    """Say on the call whether the attempt that comes goes elsewhere than to the owner."""
    call.continuity = None if _made_by(owner, deployment) else "replayed"
    if call.continuity and REPLAYED not in call.notes:
        call.notes.append(REPLAYED)
    elif not call.continuity and REPLAYED in call.notes:
        call.notes.remove(REPLAYED)


def check_replay(parent: Turn) -> None:
    """Raises Conflict when a parent cannot be replayed: it is still being made by its own deployment."""
    if parent.status in ("queued", "in_progress"):
        raise Conflict(
            f"Response '{parent.response_id}' is still in progress at a deployment that cannot be asked now.",
            param="previous_response_id",
            code="previous_response_in_progress",
        )
