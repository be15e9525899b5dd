"""Encoded spans, or log records, on their way to a collector: gathered, sent, tried again, and within bounds at all times.

What the collector does not take now is kept - bytes are bounded, time is not - and the oldest goes when there is no more
room. What one bad item spoils is sent again in halves until that item is alone. Whatever is given up is counted, with its
reason and its time: the books can tell it again.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import monotonic
from typing import Literal, Protocol

from .collector import Answer, Collector
from .environment import Batching, Signal
from .otlp.wire import Envelope

_log = logging.getLogger("tollbook.telemetry")

LARGEST = 3 * 1024 * 1024
"""Bytes of one request: collectors refuse more than 4 MiB over gRPC, and some proxies over HTTP."""

LONGEST_PAUSE = 30.0
"""Seconds between two tries at the most, unless the collector asks for more."""

HALVINGS = 20
"""How often a batch may be halved: enough to find one bad item among a million."""

REFUSALS = 64
"""Refusals in a row after which a collector is taken at its word: what is refused then is given up without a search."""

Reason = Literal["queue_full", "refused", "rejected", "closed", "shutdown", "backlog"]


class Losses(Protocol):
    """Who hears of what was delivered and what was given up; moments in nanoseconds since 1970."""

    def delivered(self, signal: Signal, last: int) -> None: ...

    def lost(self, signal: Signal, reason: Reason, count: int, first: int, last: int) -> None: ...


@dataclass(slots=True)
class Batch:
    """Items that travel together. `moments`: the first and the last of their ends."""

    items: list[bytes] = field(default_factory=list)
    size: int = 0
    first: int = 0
    last: int = 0
    halvings: int = HALVINGS

    def add(self, item: bytes, moment: int) -> None:
        self.items.append(item)
        self.size += len(item)
        self.first = min(self.first or moment, moment)
        self.last = max(self.last, moment)

    def halves(self) -> tuple[Batch, Batch]:
        """The same in two. Who is late in which half is not known, so both have the whole's times."""
        middle = len(self.items) // 2
        return self._part(self.items[:middle]), self._part(self.items[middle:])

    def _part(self, items: list[bytes]) -> Batch:
        return Batch(items, sum(map(len, items)), self.first, self.last, self.halvings - 1)


class Outbox:
    """Of one signal. `put` is called by one thread and never waits for the network; a thread of its own sends."""

    def __init__(
        self,
        signal: Signal,
        collector: Collector,
        envelope: Envelope,
        losses: Losses,
        *,
        batching: Batching,
        room: int,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._signal = signal
        self._collector = collector
        self._envelope = envelope
        self._losses = losses
        self._batching = batching
        self._room = room
        self._chance = chance
        self._open = Batch()
        self._opened = 0.0
        self._waiting: deque[Batch] = deque()
        self._held = 0
        """Bytes in all batches, that under way included."""
        self._count = 0
        self._sending: Batch | None = None
        self._failing = 0
        self._refusals = 0
        self._end: float | None = None
        """When to be done at the latest, once it is closed."""
        self._flushing = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name=f"tollbook-{signal}", daemon=True)
        self._thread.start()

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return self._held

    def put(self, item: bytes, moment: int) -> None:
        """Take an encoded item along; `moment` is when what it tells has ended."""
        with self._changed:
            if self._end is not None:
                self._losses.lost(self._signal, "shutdown", 1, moment, moment)
                return
            batch = self._open
            if batch.items and batch.size + len(item) > LARGEST:
                self._close_batch()
                batch = self._open
            if not batch.items:
                self._opened = monotonic()
                self._changed.notify_all()
            batch.add(item, moment)
            self._held += len(item)
            self._count += 1
            if len(batch.items) >= self._batching.most:
                self._close_batch()
            self._make_room()

    def flush(self, seconds: float) -> bool:
        """Send what is here, now; whether all of it was dealt with in time."""
        end = monotonic() + seconds
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._count, max(end - monotonic(), 0))
            finally:
                self._flushing = False

    def close(self, seconds: float) -> None:
        """Send what is here, and stop after so many seconds whatever the collector does. What is left is given up."""
        with self._changed:
            if self._end is None:
                self._end = monotonic() + seconds
                self._changed.notify_all()
        self._thread.join(seconds)
        with self._changed:
            self._close_batch()
            left = [*self._waiting, *([self._sending] if self._sending else [])]
            self._waiting.clear()
            self._sending = None
            for batch in left:
                self._give_up(batch, "shutdown")
        if not self._thread.is_alive():
            self._collector.close()

    # ---------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            pause = self._deal(batch, self._collector.send(self._envelope.around(batch.items)))
            if pause:
                with self._changed:
                    self._changed.wait_for(lambda: self._end is not None, pause)

    def _next(self) -> Batch | None:
        """The batch to send, once there is one; None when it is over."""
        with self._changed:
            while True:
                if self._end is not None and monotonic() >= self._end:
                    return None
                left = self._opened + self._batching.delay - monotonic()
                ripe = bool(self._open.items) and (left <= 0 or self._flushing or self._end is not None)
                if ripe and not self._waiting:
                    self._close_batch()
                if self._waiting:
                    self._sending = self._waiting.popleft()
                    return self._sending
                if self._end is not None:
                    return None
                self._changed.wait(max(left, 0.001) if self._open.items else None)

    def _deal(self, batch: Batch, answer: Answer) -> float:
        """What follows from an answer; seconds to pause."""
        with self._changed:
            if self._sending is not batch:  # given up at the end, while the collector was still silent
                return 0.0
            self._sending = None
            if answer.state == "later":
                self._failing += 1
                self._say(answer)
                self._waiting.appendleft(batch)
                self._make_room()
                pause = min(2.0 ** min(self._failing - 1, 5), LONGEST_PAUSE) * (0.5 + self._chance() / 2)
                return max(pause, answer.wait or 0.0)
            self._refusals = self._refusals + 1 if answer.state == "refused" else 0
            searching = batch.halvings > 0 and self._refusals < REFUSALS
            if answer.state == "refused" and len(batch.items) > 1 and searching:
                first, second = batch.halves()
                self._waiting.extendleft((second, first))
                return 0.0
            if answer.state == "taken":
                self._recovered(answer)
                self._forget(batch)
                if answer.rejected:
                    rejected = min(answer.rejected, len(batch.items))
                    self._losses.lost(self._signal, "rejected", rejected, batch.first, batch.last)
                else:
                    self._losses.delivered(self._signal, batch.last)
            else:
                self._failing += 1
                self._say(answer)
                self._give_up(batch, "refused" if answer.state == "refused" else "closed")
            return 0.0

    # ------------------------------------------------------------------------------------ with the lock in one's hand

    def _close_batch(self) -> None:
        if self._open.items:
            self._waiting.append(self._open)
            self._open = Batch()
            self._changed.notify_all()

    def _make_room(self) -> None:
        most = self._batching.queue
        while self._waiting and (self._held > self._room or (most is not None and self._count > most)):
            self._give_up(self._waiting.popleft(), "queue_full")

    def _give_up(self, batch: Batch, reason: Reason) -> None:
        self._forget(batch)
        self._losses.lost(self._signal, reason, len(batch.items), batch.first, batch.last)

    def _forget(self, batch: Batch) -> None:
        self._held -= batch.size
        self._count -= len(batch.items)
        if not self._count:
            self._changed.notify_all()

    def _say(self, answer: Answer) -> None:
        """Once when it begins, not for every batch."""
        if self._failing == 1:
            words = {
                "later": "they are kept for now",
                "refused": "what it refuses is given up; the books have the calls",
                "closed": "they are given up; the books have the calls. "
                f"OTEL_{self._signal.upper()}_EXPORTER=none stops sending them",
            }
            _log.warning("The collector does not take %s (%s): %s.", self._signal, answer.said, words[answer.state])

    def _recovered(self, answer: Answer) -> None:
        if self._failing:
            self._failing = 0
            _log.warning("The collector takes %s again (%s).", self._signal, answer.said)
