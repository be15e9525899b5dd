"""How far a budget looks back: a rolling span, a day, week or month of some time zone, or all the time there is.

Times are integer nanoseconds since 1970 (UTC).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Kind = Literal["rolling", "day", "week", "month", "total"]

SECOND = 1_000_000_000
GRAINS = 100
"""Parts of a rolling window that are counted apart: what was spent leaves the window within a hundredth of it too late, never
too early."""
LONGEST = 400 * 86_400
"""Seconds of a rolling window at the most: a year and a bit."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ROLLING = re.compile(r"([0-9]{1,9})([smhdw])")
_CALENDAR: dict[str, Kind] = {"day": "day", "week": "week", "month": "month"}
_EVER = -(2**62)
_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class Window:
    """`text` is how it is written: "24h", "month", "total". `zone` says where a day begins; weeks begin on Monday (ISO 8601)."""

    text: str
    kind: Kind
    seconds: int = 0
    """Of a rolling window."""
    zone: str = "UTC"

    def start(self, now: int) -> int:
        """Where the window that holds `now` begins: what was spent before counts no more."""
        if self.kind == "rolling":
            return now - self.seconds * SECOND
        if self.kind == "total":
            return _EVER
        return _midnight(self._first_day(_day(now, self.zone)), self.zone)

    def end(self, now: int) -> int | None:
        """Where the calendar window that holds `now` ends. None for a rolling one, which frees a little all the time, and for
        the total, which never ends."""
        if self.kind in ("rolling", "total"):
            return None
        first = self._first_day(_day(now, self.zone))
        return _midnight(self._next(first), self.zone)

    def grain(self, now: int) -> tuple[int, int]:
        """The piece of time that what is spent `now` is counted in, from its begin to its end. It counts as long as its end lies
        behind the start of the window.

        A hundredth of a rolling window (a second at least), else a day of the zone: windows begin and end with such pieces.
        """
        if self.kind == "rolling":
            length = max(self.seconds // GRAINS, 1) * SECOND
            begin = now - now % length
            return begin, begin + length
        today = _day(now, self.zone)
        return _midnight(today, self.zone), _midnight(today + timedelta(days=1), self.zone)

    def forgotten(self, now: int) -> int:
        """What ended before is of no use any more, even to a window that was made somewhat longer."""
        if self.kind == "total":
            return _EVER
        return 2 * self.start(now) - now - 62 * 86_400 * SECOND * (self.kind != "rolling")

    def frees_at(self, ends: int) -> int:
        """When a piece of time that ends there is out of the window."""
        if self.kind == "rolling":
            return ends + self.seconds * SECOND
        if self.kind == "total":
            return _NEVER
        # A piece is a day at the most, so its last moment lies in the window that it belongs to.
        return self.end(ends - 1) or _NEVER

    def _first_day(self, today: date) -> date:
        if self.kind == "week":
            return today - timedelta(days=today.weekday())
        return today.replace(day=1) if self.kind == "month" else today

    def _next(self, first: date) -> date:
        if self.kind == "month":
            return (first + timedelta(days=31)).replace(day=1)
        return first + timedelta(days=7 if self.kind == "week" else 1)


TOTAL = Window("total", "total")


def window(text: str, zone: str | None = None) -> Window:
    """ "24h", "30d" ... (s, m, h, d, w), "day", "week", "month" or "total". Raises ValueError with what is wrong.

    `zone` is a name of the IANA time zone database, such as Europe/Berlin, for a day, week or month; UTC where none is given.
    """
    text = text.strip().lower()
    kind = _CALENDAR.get(text)
    if kind is not None:
        return Window(text, kind, zone=_known("UTC" if zone is None else zone))
    if zone is not None and _known(zone) != "UTC":
        raise ValueError("only a day, week or month has a time zone")
    if text == "total":
        return TOTAL
    span = _ROLLING.fullmatch(text)
    if span is None:
        raise ValueError("a window is a span such as 90s, 15m, 24h, 30d or 4w, or one of day, week, month, total")
    seconds = int(span[1]) * _UNITS[span[2]]
    if seconds == 0:
        raise ValueError("a window of 0 holds nothing")
    if seconds > LONGEST:
        raise ValueError(f"a window has at most {LONGEST // 86_400} days; total never ends")
    return Window(f"{int(span[1])}{span[2]}", "rolling", seconds)


def _known(zone: str) -> str:
    """The name, if there is such a zone. Raises ValueError."""
    try:
        _place(zone)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones
        raise ValueError("there is no such time zone; a name such as Europe/Berlin was expected") from None
    return zone


@lru_cache(maxsize=256)
def _place(zone: str) -> tzinfo:
    # UTC needs no database, which slim images leave out.
    return UTC if zone == "UTC" else ZoneInfo(zone)


def _day(now: int, zone: str) -> date:
    return datetime.fromtimestamp(now // SECOND, _place(zone)).date()


@lru_cache(maxsize=4096)
def _midnight(day: date, zone: str) -> int:
    """The first moment of a day. Where clocks leap over midnight that is the leap itself, and where midnight comes twice, the
    first one (PEP 495: fold=0)."""
    return int(datetime.combine(day, time(), _place(zone)).timestamp()) * SECOND
