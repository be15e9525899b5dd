"""A clock that shows the time that is played: each call has hands of its own, which go on whenever somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from tollbook.responses.ids import make_id

_SOON = 1_500_000
"""Nanoseconds between two looks while nobody waits."""


@dataclass(slots=True)
class Hands:
    """Of one call. Times are in nanoseconds: `first` passes before the upstream speaks, `gap` between two pieces."""

    now: int
    first: int
    gap: int
    looks: int = 0

    def look(self) -> int:
        self.looks += 1
        # Begun, about to be sent, sent; then the answer's headers, and then piece by piece.
        self.now += _SOON if self.looks <= 3 else self.first if self.looks == 4 else self.gap
        return self.now


_hands: ContextVar[Hands | None] = ContextVar("tollbook_demo_hands", default=None)


class PlayedClock:
    """For `Books`, `Upstream` and the table of budgets. Outside of a call it shows the latest time that anybody has seen."""

    def __init__(self, now: int) -> None:
        self._latest = now

    def __call__(self) -> int:
        hands = _hands.get()
        if hands is None:
            return self._latest
        moment = hands.look()
        self._latest = max(self._latest, moment)
        return moment

    def make_id(self, prefix: str) -> str:
        """An id of the time that is played."""
        return make_id(prefix, at=self())

    @contextmanager
    def of(self, hands: Hands) -> Iterator[None]:
        """What is done here is done at that time."""
        token = _hands.set(hands)
        try:
            yield
        finally:
            _hands.reset(token)
