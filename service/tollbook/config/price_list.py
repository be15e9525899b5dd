"""The operator's own price list, as a configuration or a command says it: which models, since when, and what is agreed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .prices import read_number, whole

_MOST_PER_CALL = Decimal(1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is agreed beside a price. Shares are of one (0.15 is fifteen percent); None says nothing."""

    uplift: Decimal | None = None
    """What a region or a residency costs more, on tokens and units."""
    discount: Decimal | None = None
    """What the provider takes off."""
    margin: Decimal | None = None
    """What the operator takes on top, as a share of the cost; it is never part of the cost."""
    margin_per_call: Decimal | None = None
    """The same in USD, for each call that was answered."""

    def __bool__(self) -> bool:
        return self != NO_TERMS


NO_TERMS = Terms()

SHARES: Mapping[str, tuple[Decimal, str]] = {
    "uplift": (Decimal(1), "a share: 0.10 is ten percent"),
    "discount": (Decimal(1), "a share: 0.15 is fifteen percent"),
    "margin": (Decimal(10), "a share: 0.20 is twenty percent"),
    "margin_per_call": (_MOST_PER_CALL, "USD for each call"),
}
"""The terms: how much of each can be meant, and what it is."""


def read_term(name: str, value: Any) -> Decimal:
    """One of the terms. Raises ValueError as `read_price` does."""
    most, words = SHARES[name]
    number = read_number(value, f"a number ({words})")
    if number > most:
        raise ValueError(f"at most {most:f}; it is {words}")
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceEntry:
    """One entry of the operator's own price list: what models cost, or what is agreed about them, during a time.

    Times are nanoseconds since 1970. The time from `valid_from` on belongs to it, `valid_until` no longer does.
    """

    model: str
    """`provider/model` as deployments name them, in which * stands for anything; `*` for all."""
    valid_from: int | None = None
    """None: always."""
    valid_until: int | None = None
    """None: for good."""
    tier: str | None = None
    """The service tier that it holds in; None: every one that no other entry holds in."""
    prices: Mapping[str, Any] = field(default_factory=dict)
    terms: Terms = NO_TERMS
    note: str = ""
    checked: int | None = None
    """When somebody last compared it with what the provider says."""

    @property
    def says(self) -> frozenset[str]:
        """What it decides: "prices" (a whole list), "fees", and the terms that it names."""
        said = {name for name in SHARES if getattr(self.terms, name) is not None}
        if self.prices:
            said.add("prices" if whole(self.prices) else "fees")
        return frozenset(said)


EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
FARTHEST = timedelta(days=2 * 366)


def read_moment(text: str) -> int:
    """A date (its first moment in UTC) or a time (in UTC unless it names a zone) as nanoseconds since 1970.

    Raises ValueError with a sentence for anything else.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
            moment = datetime.combine(date.fromisoformat(text.strip()), datetime.min.time(), UTC)
        else:
            moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("must be a date such as 2026-01-31, or a time such as 2026-01-31T18:00+01:00") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        raise ValueError("lies outside of the calendar") from None
    nanoseconds = (since // timedelta(microseconds=1)) * 1000
    if not 0 <= nanoseconds < 2**63:
        raise ValueError("must lie between 1970 and 2262")
    return nanoseconds


def show_moment(nanoseconds: int) -> str:
    """The moment in UTC, as short as it goes: "2026-01-31", or "2026-01-31T17:00:00Z"."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    if not (moment.hour or moment.minute or moment.second or moment.microsecond):
        return moment.date().isoformat()
    return moment.replace(tzinfo=None).isoformat() + "Z"


def doubts(entries: Sequence[PriceEntry], now: int) -> list[str]:
    """Beginnings that look like a slip of the pen, one sentence each. `now` is in nanoseconds since 1970."""
    found = []
    for entry in entries:
        start = entry.valid_from
        if start is not None and start < EARLIEST.timestamp() * 1_000_000_000:
            found.append(f"{entry.model}: valid_from {show_moment(start)} is before anybody sold tokens")
        elif start is not None and start > now + FARTHEST // timedelta(microseconds=1) * 1000:
            found.append(f"{entry.model}: valid_from {show_moment(start)} is more than two years away")
    return found


def clash(one: PriceEntry, other: PriceEntry) -> str:
    """How two entries contradict each other; "" when it is clear which of them counts at any time.

    One that begins later takes over, and one within another's time is an exception to it. Two that begin together, or of
    which each ends within the other's time, leave it open.
    """
    if (one.model, one.tier) != (other.model, other.tier) or not one.says & other.says:
        return ""
    earlier, later = sorted((one, other), key=lambda entry: entry.valid_from or 0)
    start, end = later.valid_from or 0, earlier.valid_until
    if (earlier.valid_from or 0) == start:
        return "begin at the same time"
    if end is not None and start < end and later.valid_until is not None and later.valid_until > end:
        return f"overlap from {show_moment(start)} to {show_moment(end)}, and each says that it ends"
    return ""


_PATTERN = re.compile(r"[^\s*][^\s]*/\S+")


def check_pattern(text: str) -> str:
    """The pattern of an entry: `provider/model`, or `*`. Raises ValueError."""
    found = text.strip()
    if len(found) > 256:
        raise ValueError("at most 256 characters")
    if found.count("*") > 4:
        raise ValueError('at most four "*"')
    if found != "*" and not _PATTERN.fullmatch(found):
        raise ValueError('which provider? Write "provider/model" ("*" in it stands for anything), or "*" for all')
    return found
