"""The turns of the last while, in memory: most follow-ups come soon, and a lookup in the tables costs milliseconds."""

from __future__ import annotations

import threading
from collections import OrderedDict

from .pack import Kept

RECENT = 16 * 2**20
"""Bytes: some ten thousand turns of a chat."""


class Recent:
    """At most `limit` bytes of turns, the longest unused of which goes first. May be used from any thread.

    It holds what the tables hold and is told of every change to them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._turns: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, response_id: str, kept: Kept) -> None:
        with self._lock:
            self._drop(response_id)
            self._turns[response_id] = kept
            self._size += _size(kept)
            while self._size > self._limit:
                self._drop(next(iter(self._turns)))

    def get(self, response_id: str) -> Kept | None:
        with self._lock:
            kept = self._turns.get(response_id)
            if kept is not None:
                self._turns.move_to_end(response_id)
            return kept

    def drop(self, response_id: str) -> None:
        with self._lock:
            self._drop(response_id)

    def clear(self) -> None:
        with self._lock:
            self._turns.clear()
            self._size = 0

    def _drop(self, response_id: str) -> None:
        kept = self._turns.pop(response_id, None)
        if kept is not None:
            self._size -= _size(kept)


def _size(kept: Kept) -> int:
    # A head is a list of fifteen short texts: 1.5 kB of objects.
    return len(kept.content) + 1500
