"""What the commands about keys, teams and budgets share: the files they work on, and how they show what is there.

They work on the data directory itself, beside a running gateway or without one; a running one sees a change within a second.
"""

from __future__ import annotations

import getpass
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from .configured import config_argument, configured, data_dir_argument
from .terminal import note, printable, say

if TYPE_CHECKING:
    from tollbook.access.allowances import Allowances
    from tollbook.access.keys import Keys
    from tollbook.access.shapes import Budget
    from tollbook.config import Config
    from tollbook.config import budgets as told

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Desk:
    """The opened files of a data directory."""

    config: Config
    keys: Keys
    allowances: Allowances

    def budgets(self, budgets: Sequence[told.Budget]) -> list[Budget]:
        """Budgets with how they stand."""
        from tollbook.access import shown

        return [shown.budget(standing, self.keys.rules.keys) for standing in self.allowances.standings(budgets)]

    def budgets_of(self, scope: str, *names: str) -> list[Budget]:
        """The budgets of a key (by id or alias, as the configuration may have it) or team."""
        return self.budgets(
            [each for each in self.keys.budgets.list() if each.scope == scope and each.subject in names]
        )

    def warn_of_models(self, models: Sequence[str]) -> None:
        """Patterns that stand for nothing are allowed, and perhaps not meant."""
        from tollbook.access.keys import unmatched

        for pattern in unmatched(models, self.config.names):
            note(f"no model fits the pattern {pattern!r}")

    def warn_of_team(self, team: str | None) -> None:
        if team and team.strip() not in self.keys.rules.teams:
            note(f"the team {team.strip()!r} is new")


@contextmanager
def opened(args: Namespace) -> Iterator[Desk]:
    """The files that the options name. Raises ConfigError."""
    from tollbook.access.allowances import Allowances
    from tollbook.access.keys import Keys
    from tollbook.storage.allowances import AllowanceTable
    from tollbook.storage.keys import KeyTable

    config = configured(args)
    with closing(KeyTable(config.data_dir)) as table, closing(AllowanceTable(config.data_dir)) as counts:
        keys = Keys(table)
        keys.configure(config.budgets, config.limits)
        yield Desk(config, keys, Allowances(counts, keys))


def places(*parsers: ArgumentParser) -> None:
    """The options that say where the files are."""
    for parser in parsers:
        config_argument(parser)
        data_dir_argument(parser)


def json_argument(*parsers: ArgumentParser) -> None:
    for parser in parsers:
        parser.add_argument("--json", action="store_true", help="as JSON, in the form of the HTTP routes")


def say_json(what: Any) -> None:
    """A result for machines."""
    import msgspec

    say(msgspec.json.format(msgspec.json.encode(what)).decode())


def actor() -> str:
    """Who to name in the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        # A container's user may have no name.
        return "cli"


# ----------------------------------------------------------------------------------------------- what options may say


def count_or_none(text: str) -> int | None:
    """A limit, or "none" to take it away."""
    if text == "none":
        return None
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError('a whole number from 1 on, or "none"')
    return int(text)


def text_or_none(text: str) -> str | None:
    return None if text == "none" else text


def seconds(text: str) -> float:
    """A span such as 90m or 24h; 0 is none."""
    span = re.fullmatch(r"([0-9]{1,6})([smhdw]?)", text)
    if span is None or (not span[2] and int(span[1])):
        raise ArgumentTypeError("such as 90m, 12h, 30d, or 0")
    return int(span[1]) * _SECONDS[span[2] or "s"]


def moment(text: str) -> int | None:
    """Nanoseconds since 1970. A date means its first moment in UTC; "none" is never."""
    if text == "none":
        return None
    if re.fullmatch(r"[1-9][0-9]{0,5}[mhdw]", text):
        return int(datetime.now(UTC).timestamp() + seconds(text)) * 1_000_000_000
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError("such as 90m, 12h, 30d, 4w, or a date such as 2030-01-31") from error
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000


def own_budget(text: str) -> dict[str, Any]:
    """ "5/day", "20/30d", "100/month@Europe/Berlin" as `Budgets.create` takes it."""
    amount, slash, rest = text.partition("/")
    span, _, zone = rest.partition("@")
    if not slash or not amount or not span:
        raise ArgumentTypeError("dollars and a window, such as 5/day, 20/30d or 100/month@Europe/Berlin")
    return {"amount": amount, "span": span, "zone": zone or None}


# -------------------------------------------------------------------------------------------------------- how it looks


def when(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return ""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def short(moment: str | None) -> str:
    """An RFC 3339 time to the minute."""
    return "" if moment is None else moment[:16].replace("T", " ")


def sheet(lines: Mapping[str, str]) -> None:
    """One thing, line by line; what is empty is left out."""
    for name, value in lines.items():
        if value:
            say(f"{name:<11}{printable(value)}")


def left_of(budgets: Sequence[Budget]) -> str:
    """Budgets in a word: "$3.2 of $5 left per day"."""
    return ", ".join(f"${each.left_usd} of ${each.amount_usd} left per {each.window}" for each in budgets)


def per_minute(rpm: int | None, tpm: int | None) -> str:
    """Limits in a word: "60 rpm, 1000 tpm"."""
    return ", ".join(f"{limit} {unit}" for limit, unit in ((rpm, "rpm"), (tpm, "tpm")) if limit is not None)
