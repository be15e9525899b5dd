"""A stretch of time to look at, and the hours, days, weeks and months in it as a place on earth counts them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, Self, TypeAlias, get_args
from zoneinfo import ZoneInfo

from .errors import ReportError

Every: TypeAlias = Literal["hour", "day", "week", "month"]
"""The width of a bucket of time. A week begins on Monday (ISO 8601)."""

PRESETS = ("today", "yesterday", "7d", "30d", "month", "last-month")

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Bucket(NamedTuple):
    """An hour, day, week or month: from `start` up to, not including, `end`, both UTC."""

    start: datetime
    end: datetime


class Offset(NamedTuple):
    """From `since` (UTC) on, clocks are ahead of UTC by this."""

    since: datetime
    ahead: timedelta


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, not including, `end`; days and months are those of `zone` (an IANA name).

    Both times know their zone; they are kept in UTC. `stride` says how far back the equal period before lies: so many days by the
    calendar, or one month; None for a window that is no calendar period, whose predecessor is the same length just before it.
    """

    start: datetime
    end: datetime
    zone: str = "UTC"
    stride: int | Literal["month"] | None = None

    def __post_init__(self) -> None:
        _zone(self.zone)
        for name in ("start", "end"):
            moment: datetime = getattr(self, name)
            if moment.tzinfo is None:
                raise ReportError(f"{name} of a window has no time zone: {moment.isoformat()}")
            object.__setattr__(self, name, moment.astimezone(UTC))
        if self.end < self.start:
            raise ReportError(f"a window ends before it begins: {self.start.isoformat()} to {self.end.isoformat()}")

    @classmethod
    def named(cls, name: str, now: datetime, zone: str = "UTC") -> Self:
        """A preset: today, yesterday, month (to date), last-month, or the last so many days or hours (7d, 30d, 24h).

        Those that are not over end `now`. Days are whole ones: 7d is today and the six days before it.
        """
        today = now.astimezone(_zone(zone)).date()
        if name == "today":
            return cls(midnight(today, zone), now, zone, 1)
        if name == "yesterday":
            return cls(midnight(today - DAY, zone), midnight(today, zone), zone, 1)
        if name == "month":
            return cls(midnight(today.replace(day=1), zone), now, zone, "month")
        if name == "last-month":
            first = today.replace(day=1)
            return cls(midnight((first - DAY).replace(day=1), zone), midnight(first, zone), zone, "month")
        if span := re.fullmatch(r"([1-9][0-9]{0,3})([hd])", name):
            many = int(span[1])
            if span[2] == "h":
                return cls(now - many * HOUR, now, zone)
            return cls(midnight(today - (many - 1) * DAY, zone), now, zone, many)
        raise ReportError(f"no time is called {name!r}: try {', '.join(PRESETS)}, or such as 24h and 90d")

    @classmethod
    def between(cls, since: str, until: str, now: datetime, zone: str = "UTC") -> Self:
        """From dates or times in ISO 8601; a date is its first moment in the zone, so `until` is not included. "" is now."""
        return cls(moment(since, zone), moment(until, zone) if until else now, zone)

    @property
    def length(self) -> timedelta:
        """Elapsed time, not the difference of two clocks on the wall."""
        return self.end - self.start

    def previous(self) -> Window:
        """The equal period before: the day before up to the same time on the wall, the same days of the month before, and so on.

        Where the month before is shorter, all of it.
        """
        zone = _zone(self.zone)
        stride = self.stride
        if stride is None:
            first, last = (edge.astimezone(zone) for edge in (self.start, self.end))
            whole = first.replace(tzinfo=None) == _floor(first) and last.replace(tzinfo=None) == _floor(last)
            if not whole or self.start == self.end:
                return Window(self.start - self.length, self.start, self.zone)
            stride = (last.date() - first.date()).days
        return Window(_back(self.start, stride, self.zone), _back(self.end, stride, self.zone), self.zone, stride)

    def buckets(self, every: Every) -> list[Bucket]:
        """All that touch the window, whole: the first may begin before it and the last end after it."""
        return list(self._buckets(every)) if self.start < self.end else []

    def _buckets(self, every: Every) -> Iterator[Bucket]:
        if every == "hour":
            yield from self._hours()
            return
        first = _first(self.start.astimezone(_zone(self.zone)).date(), every)
        start = midnight(first, self.zone)
        while start < self.end:
            first = _next(first, every)
            end = midnight(first, self.zone)
            if end > start:  # a zone that crosses the date line leaves a day out
                yield Bucket(start, end)
            start = end

    def _hours(self) -> Iterator[Bucket]:
        offsets = self.offsets()
        edges = [each.since for each in offsets[1:]]
        start = hour_of(self.start, offsets[0])
        while start < self.end:
            at = bisect_right(edges, start)
            end = hour_of(start, offsets[at]) + HOUR
            if at < len(edges) and edges[at] < end:
                end = edges[at]
            yield Bucket(start, end)
            start = end

    def offsets(self) -> list[Offset]:
        """How clocks were set within the window: one entry, and one more for each time they were changed."""
        return list(_offsets(self.start - DAY, self.end, self.zone))

    def on_hours(self, every: Every | None) -> bool:
        """Whether no edge of the window or of its buckets falls inside an hour of UTC: then hourly sums can answer."""
        return all(edge.minute == edge.second == edge.microsecond == 0 for edge in self.edges(every))

    def edges(self, every: Every | None = None) -> set[datetime]:
        """The moments that a report by these buckets tells apart."""
        inner = {bucket.start for bucket in self.buckets(every)[1:]} if every is not None else set()
        return {self.start, self.end} | inner


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ReportError(f"no time zone is called {name!r}: such as Europe/Berlin or UTC") from error


def moment(text: str, zone: str) -> datetime:
    """A date (its first moment) or a time in ISO 8601, in UTC; without an offset it is the zone's."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return midnight(date.fromisoformat(text), zone)
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise ReportError(
            f"{text!r} is no time: such as 2026-11-01, 2026-11-01T14:30 or 2026-11-01T14:30+01:00"
        ) from error
    return (read.replace(tzinfo=_zone(zone)) if read.tzinfo is None else read).astimezone(UTC)


def midnight(day: date, zone: str) -> datetime:
    """The first moment of a day in a zone, in UTC. Where clocks jump over midnight it is the moment of the jump."""
    naive = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a clock on the wall
    place = _zone(zone)
    found = naive.replace(tzinfo=place, fold=0).astimezone(UTC)
    if found.astimezone(place).replace(tzinfo=None) == naive:
        return found
    # A gap: before the jump clocks were behind, so the time read with the offset after it lies before the jump.
    return next(
        (
            offset.since
            for offset in _offsets(found - DAY, found + DAY, zone)
            if offset.since > found - DAY and _local(offset) > naive
        ),
        found,
    )


def hour_of(when: datetime, offset: Offset) -> datetime:
    """The first moment of the hour on the wall, or of what is left of it after clocks were changed within it."""
    return max(hour_before(when, offset.ahead), offset.since)


def hour_before(when: datetime, ahead: timedelta) -> datetime:
    """The full hour of a clock that is ahead of UTC by so much, whether or not it was so then already."""
    return (when + ahead).replace(minute=0, second=0, microsecond=0) - ahead


def _local(offset: Offset) -> datetime:
    return (offset.since + offset.ahead).replace(tzinfo=None)


def _floor(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)


def _first(day: date, every: Every) -> date:
    if every == "week":
        return day - day.weekday() * DAY
    return day.replace(day=1) if every == "month" else day


def _next(first: date, every: Every) -> date:
    if every == "month":
        return (first.replace(day=28) + 4 * DAY).replace(day=1)
    return first + (7 * DAY if every == "week" else DAY)


def _back(edge: datetime, stride: int | Literal["month"], zone: str) -> datetime:
    """The same time on the wall, so many days or one month before; at most the end of that month."""
    local = edge.astimezone(_zone(zone))
    clock = local.timetz().replace(tzinfo=None, fold=0)
    if isinstance(stride, int):
        day = local.date() - stride * DAY
    else:
        this = local.date().replace(day=1)
        before = (this - DAY).replace(day=1)
        if before + (local.day - 1) * DAY >= this:
            return midnight(this, zone)
        day = before.replace(day=local.day)
    if clock == datetime.min.time():
        return midnight(day, zone)
    return datetime.combine(day, clock, _zone(zone)).astimezone(UTC)


@lru_cache(maxsize=256)
def _offsets(start: datetime, end: datetime, zone: str) -> tuple[Offset, ...]:
    """Found by looking at each noon and halving between two that differ."""
    place = _zone(zone)

    def ahead(when: datetime) -> timedelta:
        return when.astimezone(place).utcoffset() or timedelta()

    found = [Offset(start, ahead(start))]
    at = start
    while at < end:
        then = min(at + DAY, end)
        if ahead(then) != found[-1].ahead:
            low, high = at, then
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=1) // 2)
                low, high = (middle, high) if ahead(middle) == found[-1].ahead else (low, middle)
            found.append(Offset(high.replace(microsecond=0), ahead(high)))
        at = then
    return tuple(found)


EVERY: tuple[Every, ...] = get_args(Every)
