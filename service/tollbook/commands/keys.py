"""tollbook keys: virtual keys, each with its own books. A running gateway sees a change within a second."""

from __future__ import annotations

import getpass
import re
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from .configured import config_argument, configured, data_dir_argument
from .terminal import note, say, table

if TYPE_CHECKING:
    from tollbook.access.keys import Key, Keys

HELP = "create, list, block and revoke virtual keys"

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")

    create = verbs.add_parser("create", help="make a key; its secret goes to stdout and cannot be had again")
    create.add_argument("alias", help="a name for people")
    create.add_argument("--owner", help="whose key it is")
    create.add_argument("--team", help="which team its calls are booked on")
    create.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="a model it may use, * allowed; repeat for more"
    )
    create.add_argument(
        "--expires", type=_expiry, metavar="WHEN", help="such as 90m, 12h, 30d, 4w, or a date such as 2030-01-31 (UTC)"
    )

    show = verbs.add_parser("list", help="show the keys, without secrets")
    show.add_argument("--revoked", action="store_true", help="also those that were revoked")

    changes = {
        "block": "suspend a key",
        "unblock": "let a blocked key be used again",
        "revoke": "end a key for good; the calls it made stay in the books",
    }
    others = [verbs.add_parser(verb, help=words) for verb, words in changes.items()]
    for other in others:
        other.add_argument("key", help="its id or alias")
    for verb in (create, show, *others):
        config_argument(verb)
        data_dir_argument(verb)


def run(args: Namespace) -> int:
    with _keys(args) as keys:
        match args.verb:
            case "create":
                secret, key = keys.create(
                    args.alias,
                    owner=args.owner,
                    team=args.team,
                    models=args.model,
                    expires=args.expires,
                    actor=_actor(),
                )
                note(f"{key.alias} ({key.id}). This is its secret; it is not shown again:")
                say(secret)
            case "list":
                _draw(keys.list(revoked=args.revoked))
            case "revoke":
                say(f"revoked {keys.revoke(args.key, actor=_actor())}")
            case verb:
                say(f"{verb}ed {keys.block(args.key, verb == 'block', actor=_actor())}")
    return 0


@contextmanager
def _keys(args: Namespace) -> Iterator[Keys]:
    from tollbook.access.keys import Keys
    from tollbook.storage.keys import KeyTable

    with closing(KeyTable(configured(args).data_dir)) as opened:
        yield Keys(opened)


def _draw(keys: list[Key]) -> None:
    columns = ("Alias", "Id", "Ends in", "Owner", "Team", "Models", "Created", "Expires", "Last used", "State")
    rows = [
        (
            key.alias,
            key.id,
            f"…{key.hint}",
            key.owner or "",
            key.team or "",
            ", ".join(key.models) or "all",
            _when(key.created),
            _when(key.expires),
            _when(key.last_used),
            _state(key),
        )
        for key in keys
    ]
    if rows:
        table(columns, rows)
    else:
        note("no keys")


def _state(key: Key) -> str:
    if key.revoked is not None:
        return "revoked"
    if key.blocked:
        return "blocked"
    if key.expires is not None and key.expires <= time.time_ns():
        return "expired"
    return "active"


def _when(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return ""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def _expiry(text: str) -> int:
    """Nanoseconds since 1970. A date means its first moment in UTC."""
    if span := re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text):
        return time.time_ns() + int(span[1]) * _SECONDS[span[2]] * 1_000_000_000
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError("such as 90m, 12h, 30d, 4w, or a date such as 2030-01-31") from error
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000


def _actor() -> str:
    """Who to name in the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        # A container's user may have no name.
        return "cli"
