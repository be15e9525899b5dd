"""tollbook keys: virtual keys, each with its own books. A running gateway sees a change within a second."""

from __future__ import annotations

import time
from argparse import SUPPRESS, ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from . import desk
from .desk import Desk
from .terminal import note, say, table

if TYPE_CHECKING:
    from tollbook.access.key import Key

HELP = "create, list, change, rotate, block and revoke virtual keys"

_POLICIES = ("allow", "warn", "block")
_CONTENT = ("full", "metadata", "none")
_TERMS = (
    "alias",
    "owner",
    "team",
    "models",
    "tags",
    "unpriced",
    "content",
    "rpm",
    "tpm",
    "max_parallel_requests",
    "expires",
)


def arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")

    create = verbs.add_parser("create", help="make a key; its secret goes to stdout and cannot be had again")
    create.add_argument("alias", help="a name for people")
    create.add_argument(
        "--budget",
        action="append",
        default=[],
        type=desk.own_budget,
        metavar="USD/WINDOW",
        help="such as 5/day, 20/30d, 100/month@Europe/Berlin; repeat for more",
    )
    show = verbs.add_parser("list", help="show the keys, without secrets")
    show.add_argument("--revoked", action="store_true", help="also those that were revoked")
    one = verbs.add_parser("show", help="show a key with its budgets")
    edit = verbs.add_parser("edit", help="change a key; what is not said stays, none takes away")
    edit.add_argument("--alias", default=SUPPRESS, help="another name for people")
    rotate = verbs.add_parser("rotate", help="give a key another secret, which goes to stdout")
    rotate.add_argument(
        "--grace",
        type=desk.seconds,
        default="24h",
        metavar="SPAN",
        help="how long the old secret is good, such as 12h; 0 ends it at once (default: %(default)s)",
    )
    changes = {
        "block": "suspend a key",
        "unblock": "let a blocked key be used again",
        "revoke": "end a key for good; the calls it made stay in the books",
    }
    others = [verbs.add_parser(verb, help=words) for verb, words in changes.items()]
    for other in (one, edit, rotate, *others):
        other.add_argument("key", help="its id or alias")
    for verb in (create, edit):
        _terms(verb)
    desk.json_argument(create, show, one, edit, rotate)
    desk.places(create, show, one, edit, rotate, *others)


def _terms(parser: ArgumentParser) -> None:
    """What may be said of a key. What is not given is no attribute at all."""
    add: Any = parser.add_argument
    add("--owner", default=SUPPRESS, type=desk.text_or_none, help="whose key it is")
    add("--team", default=SUPPRESS, type=desk.text_or_none, help="its team, whose terms hold for it, too")
    add(
        "--model",
        dest="models",
        default=SUPPRESS,
        action="append",
        metavar="NAME",
        help="a model it may use, * allowed; repeat for more; none: all",
    )
    add("--tag", dest="tags", default=SUPPRESS, action="append", help="a tag of its calls; repeat for more")
    add("--unpriced", default=SUPPRESS, choices=_POLICIES, help="what becomes of models whose price is not known")
    add("--content", default=SUPPRESS, choices=_CONTENT, help="what of its calls may be kept")
    add("--rpm", default=SUPPRESS, type=desk.count_or_none, metavar="N", help="requests a minute")
    add("--tpm", default=SUPPRESS, type=desk.count_or_none, metavar="N", help="tokens a minute")
    add(
        "--max-parallel",
        dest="max_parallel_requests",
        default=SUPPRESS,
        type=desk.count_or_none,
        metavar="N",
        help="requests at the same time",
    )
    add(
        "--expires",
        default=SUPPRESS,
        type=desk.moment,
        metavar="WHEN",
        help="such as 90m, 12h, 30d, 4w, or a date such as 2030-01-31 (UTC)",
    )


def run(args: Namespace) -> int:
    with desk.opened(args) as opened:
        keys = opened.keys
        match args.verb:
            case "create":
                terms = _told(args)
                _warn(opened, terms)
                secret, key = keys.create(args.alias, budgets=args.budget, actor=desk.actor(), **terms)
                _give(opened, args, key, secret)
            case "list":
                _list(args, keys.list(revoked=args.revoked))
            case "show":
                _show(opened, args, keys.find(args.key))
            case "edit":
                terms = _told(args)
                _warn(opened, terms)
                _show(opened, args, keys.change(args.key, actor=desk.actor(), **terms))
            case "rotate":
                secret, key, until = keys.rotate(args.key, grace=args.grace, actor=desk.actor())
                _give(opened, args, key, secret, until)
            case "revoke":
                say(f"revoked {keys.revoke(args.key, actor=desk.actor())}")
            case verb:
                say(f"{verb}ed {keys.block(args.key, verb == 'block', actor=desk.actor())}")
    return 0


def _told(args: Namespace) -> dict[str, Any]:
    """The terms that were given. The one value "none" empties a list."""
    skip = ("alias",) if args.verb == "create" else ()
    terms = {name: getattr(args, name) for name in _TERMS if hasattr(args, name) and name not in skip}
    return {name: () if value == ["none"] else value for name, value in terms.items()}


def _warn(opened: Desk, terms: dict[str, Any]) -> None:
    opened.warn_of_models(terms.get("models", ()))
    opened.warn_of_team(terms.get("team"))


def _give(opened: Desk, args: Namespace, key: Key, secret: str, until: int | None = None) -> None:
    """A new secret: alone on stdout, so that a script can take it."""
    if args.json:
        from tollbook.access import shown

        desk.say_json(shown.key(key, secret=secret, until=until, budgets=opened.budgets_of("key", key.id, key.alias)))
        return
    note(f"{key.alias} ({key.id}). This is its secret; it is not shown again:")
    say(secret)
    if until is not None:
        note(
            f"The old one is good until {desk.when(until)} UTC." if until > time.time_ns() else "The old one has ended."
        )


def _list(args: Namespace, keys: list[Key]) -> None:
    if args.json:
        from tollbook.access import shapes, shown

        desk.say_json(shapes.KeyList(data=[shown.key(key) for key in keys]))
        return
    columns = (
        "Alias",
        "Id",
        "Ends in",
        "Owner",
        "Team",
        "Models",
        "Limits",
        "Created",
        "Expires",
        "Last used",
        "State",
    )
    rows = [
        (
            key.alias,
            key.id,
            f"…{key.hint}",
            key.owner or "",
            key.team or "",
            ", ".join(key.models) or "all",
            _limits(key),
            desk.when(key.created),
            desk.when(key.expires),
            desk.when(key.last_used),
            _state(key),
        )
        for key in keys
    ]
    if rows:
        table(columns, rows)
    else:
        note("no keys")


def _show(opened: Desk, args: Namespace, key: Key) -> None:
    budgets = opened.budgets_of("key", key.id, key.alias)
    if args.json:
        from tollbook.access import shown

        desk.say_json(shown.key(key, budgets=budgets))
        return
    lines = {
        "alias": key.alias,
        "id": key.id,
        "secret": f"…{key.hint}",
        "owner": key.owner or "",
        "team": key.team or "",
        "models": ", ".join(key.models) or "all",
        "tags": ", ".join(key.tags),
        "unpriced": key.unpriced,
        "content": key.content,
        "limits": _limits(key),
        "budgets": desk.left_of(budgets),
        "created": desk.when(key.created),
        "expires": desk.when(key.expires),
        "last used": desk.when(key.last_used),
        "state": _state(key),
    }
    desk.sheet(lines)


def _limits(key: Key) -> str:
    together = f"{key.max_parallel_requests} at a time" if key.max_parallel_requests is not None else ""
    return ", ".join(filter(None, (desk.per_minute(key.rpm, key.tpm), together)))


def _state(key: Key) -> str:
    if key.revoked is not None:
        return "revoked"
    if key.blocked:
        return "blocked"
    if key.expires is not None and key.expires <= time.time_ns():
        return "expired"
    return "active"
