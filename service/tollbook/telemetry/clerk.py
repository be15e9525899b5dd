"""The thread that turns finished calls into spans, measurements, log records and lines, so that the event loop need not.

The loop hands over what is finished and goes on, a microsecond's work. The clerk gathers for a moment, then works through
what has come; between a few calls it lets go of the interpreter, since the loop must not wait for the whole of it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Protocol

from tollbook.call import Call

from . import names, records, spans
from .access_log import Lines, line
from .content import Redact, Snapshot, unredacted
from .genai import Manner
from .measures import Measures
from .meter import Meter
from .records import Record
from .spans import Served, Span, Standing

_log = logging.getLogger("tollbook.telemetry")

GATHER = 0.05
"""Seconds between two looks at what has come."""
AT_ONCE = 8
"""Calls between two moments at which the loop may have the interpreter."""
MOST = 20_000
"""Finished calls that may wait; beyond it the loop does the counting itself, and their spans are given up."""


class Spans(Protocol):
    """Where spans go."""

    def take(self, told: list[Span]) -> None: ...


class Records(Protocol):
    """Where log records go."""

    def take(self, told: list[Record]) -> None: ...


@dataclass(slots=True)
class Finished:
    """A call that is over, and where it stands. `route` is its path's template, "" without HTTP."""

    call: Call
    standing: Standing
    route: str = ""
    content: Snapshot | None = None


@dataclass(slots=True)
class Answered:
    """An HTTP request that is over; its call, if it has one, was over before it."""

    served: Served
    call: Call | None


@dataclass(slots=True)
class Desk:
    """What a clerk works with. None where a thing is off."""

    manner: Manner
    measures: Measures
    meter: Meter
    spans: Spans | None = None
    records: Records | None = None
    lines: Lines | None = None
    capture: str = "none"
    redact: Redact = unredacted
    exemplars: str = "trace_based"
    price_missing: Callable[[Call], None] | None = None


class Clerk:
    """Works through finished calls in a thread of its own. `hand` is for the event loop, the rest for anybody."""

    def __init__(self, desk: Desk, *, backlog: Callable[[int], None] | None = None) -> None:
        self.desk = desk
        self._backlog = backlog
        self._waiting: deque[Finished | Answered] = deque()
        self._news = Event()
        self._stopping = Event()
        self._working = Lock()
        self._thread = Thread(target=self._run, name="tollbook-telemetry", daemon=True)
        self._thread.start()

    def hand(self, finished: Finished | Answered) -> None:
        """Take it from here."""
        if len(self._waiting) >= MOST:
            self._measure(finished)
            if self._backlog is not None:
                self._backlog(1)
            return
        self._waiting.append(finished)
        if not self._news.is_set():
            self._news.set()

    def catch_up(self) -> None:
        """Work through what has come by now, in the thread that asks."""
        with self._working:
            self._work(len(self._waiting))

    def close(self, seconds: float) -> None:
        """Work through what is here, for so long at the most, and stop."""
        self._stopping.set()
        self._news.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            stopping = self._stopping.wait(GATHER)
            while self._waiting:
                with self._working:
                    self._work(AT_ONCE)
                time.sleep(0)
            if stopping:
                return

    def _work(self, most: int) -> None:
        for _ in range(min(most, len(self._waiting))):
            finished = self._waiting.popleft()
            try:
                self._tell(finished)
            except Exception:  # one call that cannot be told must not end the telling
                _log.exception("a call could not be told")

    def _tell(self, finished: Finished | Answered) -> None:
        self._measure(finished)
        if isinstance(finished, Answered):
            if self.desk.spans is not None and finished.served.standing.sampled:
                self.desk.spans.take([spans.of_request(finished.served, finished.call)])
            return
        desk, call, standing = self.desk, finished.call, finished.standing
        content = None if finished.content is None else finished.content.told(desk.redact)
        made = spans.of_call(call, standing, desk.manner) if self._wants_spans(standing) else []
        told: list[Record] = []
        if made and content is not None:
            inference = made[0].attributes
            if desk.capture != "span":
                told.append(records.details(call, {**inference, **content.structured()}, sampled=standing.sampled))
            if desk.capture != "event":
                inference.update(content.as_text())
        if made and desk.spans is not None and standing.sampled:
            desk.spans.take(made)
        if desk.records is not None:
            failure = records.exception(call, sampled=standing.sampled)
            if failure is not None:
                told.append(failure)
            if told:
                desk.records.take(told)
        if desk.lines is not None and call.operation not in names.LOOKS:
            desk.lines.put(line(call, finished.route))

    def _wants_spans(self, standing: Standing) -> bool:
        """Whether the attributes of spans are worth building; a record with content needs them, too."""
        desk = self.desk
        return (desk.spans is not None and standing.sampled) or (desk.records is not None and desk.capture != "none")

    def _measure(self, finished: Finished | Answered) -> None:
        desk = self.desk
        if isinstance(finished, Answered):
            served = finished.served
            found, standing, span_id = desk.measures.of_request(served), served.standing, served.span_id
        else:
            call, standing, span_id = finished.call, finished.standing, finished.call.span_id
            found = desk.measures.of_call(call, finished.route)
            if desk.price_missing is not None and call.operation == "create" and call.cost.status == "unpriced":
                desk.price_missing(call)
        told = standing.sampled if desk.exemplars == "trace_based" else desk.exemplars == "always_on"
        desk.meter.record(found, (standing.trace_id, span_id) if told and standing.trace_id and span_id else None)
