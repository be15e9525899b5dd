"""tollbook budgets: what may be spent, and what is left of it. A running gateway sees a change within a second."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import desk
from .desk import Desk
from .terminal import note, say, table

if TYPE_CHECKING:
    from tollbook.access.shapes import Budget

HELP = "create, list, change, reset and remove budgets"

_TERMS = ("name", "amount", "span", "zone", "soft")


def arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    create = verbs.add_parser(
        "create", help="make a budget; without --key, --team, --end-user or --model for everything"
    )
    whose = create.add_mutually_exclusive_group()
    whose.add_argument("--key", help="of a key, by id or alias")
    whose.add_argument("--team", help="of a team, by name")
    whose.add_argument("--end-user", metavar="PATTERN", help="of each end user that fits, * allowed")
    whose.add_argument("--model", metavar="PATTERN", help="of all models that fit together, * allowed")
    create.add_argument("--amount", required=True, metavar="USD", help="dollars, such as 12.50")
    create.add_argument("--window", required=True, dest="span", metavar="WINDOW", help=_WINDOWS)
    edit = verbs.add_parser("edit", help="change a budget; what was spent stays spent, what is not said stays")
    edit.add_argument("--amount", default=SUPPRESS, metavar="USD", help="dollars, such as 12.50")
    edit.add_argument("--window", default=SUPPRESS, dest="span", metavar="WINDOW", help=_WINDOWS)
    for verb in (create, edit):
        verb.add_argument("--name", default=SUPPRESS, help="a name for people")
        verb.add_argument(
            "--zone", default=SUPPRESS, help="of a day, week or month, such as Europe/Berlin (default: UTC)"
        )
        verb.add_argument(
            "--soft",
            default=SUPPRESS,
            type=_soft,
            metavar="N",
            help="where a warning is given: a share up to 1, dollars above; none takes it away",
        )
    show = verbs.add_parser("list", help="show the budgets: spent, reserved by calls under way, left")
    one = verbs.add_parser("show", help="show a budget, with its end users")
    reset = verbs.add_parser("reset", help="begin again: nothing was spent; the books of calls stay as they are")
    remove = verbs.add_parser("remove", help="remove a budget")
    for verb in (one, edit, reset, remove):
        verb.add_argument("budget", help="its id or name")
    desk.json_argument(create, show, one, edit)
    desk.places(create, show, one, edit, reset, remove)


_WINDOWS = "90s, 15m, 24h, 30d, 4w; day, week, month; or total, which never ends"


def _soft(text: str) -> float | None:
    return None if text == "none" else float(text)


def run(args: Namespace) -> int:
    with desk.opened(args) as opened:
        budgets = opened.keys.budgets
        match args.verb:
            case "create":
                made = budgets.create(actor=desk.actor(), **_whose(opened, args), **_told(args))
                _show(args, *opened.budgets([made]))
            case "list":
                _list(args, opened.budgets(budgets.list()))
            case "show":
                _show(args, *opened.budgets([budgets.find(args.budget)]))
            case "edit":
                changed = budgets.change(args.budget, _told(args), actor=desk.actor())
                _show(args, *opened.budgets([changed]))
            case "reset":
                found = budgets.reset(args.budget, actor=desk.actor())
                opened.allowances.reset(found)
                say(f"reset {found.name}")
            case _:
                say(f"removed {budgets.remove(args.budget, actor=desk.actor()).name}")
    return 0


def _whose(opened: Desk, args: Namespace) -> dict[str, Any]:
    if args.key is not None:
        key = opened.keys.find(args.key)
        return {"scope": "key", "subject": key.id, "label": key.alias}
    told = {"team": args.team, "end_user": args.end_user, "model": args.model}
    return next(
        ({"scope": scope, "subject": name} for scope, name in told.items() if name is not None), {"scope": "global"}
    )


def _told(args: Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in _TERMS if hasattr(args, name)}


def _list(args: Namespace, budgets: Sequence[Budget]) -> None:
    if args.json:
        from tollbook.access import shapes

        desk.say_json(shapes.BudgetList(data=list(budgets)))
        return
    columns = ("Name", "Id", "For", "Amount", "Window", "Spent", "Reserved", "Left", "Resets (UTC)")
    rows = [
        (
            each.name,
            each.id,
            _for(each),
            f"${each.amount_usd}",
            each.window if each.zone == "UTC" else f"{each.window} {each.zone}",
            f"${each.spent_usd}",
            f"${each.reserved_usd}",
            f"${each.left_usd}" + (" each" if each.scope == "end_user" else ""),
            desk.short(each.resets_at),
        )
        for each in budgets
    ]
    if rows:
        table(columns, rows)
    else:
        note("no budgets")


def _show(args: Namespace, budget: Budget) -> None:
    if args.json:
        desk.say_json(budget)
        return
    lines = {
        "name": budget.name,
        "id": budget.id,
        "for": _for(budget),
        "amount": f"${budget.amount_usd}",
        "window": budget.window if budget.zone == "UTC" else f"{budget.window} in {budget.zone}",
        "warns at": "" if budget.soft is None else f"{budget.soft:.0%}" if budget.soft <= 1 else f"${budget.soft:g}",
        "spent": f"${budget.spent_usd}",
        "reserved": f"${budget.reserved_usd}",
        "left": f"${budget.left_usd}" + (" each" if budget.scope == "end_user" else ""),
        "resets": desk.short(budget.resets_at),
        "set in": "config.yaml" if budget.configured else "",
    }
    desk.sheet(lines)
    if budget.end_users:
        say()
        table(
            ("End user", "Spent", "Reserved", "Left"),
            [
                (each.end_user, f"${each.spent_usd}", f"${each.reserved_usd}", f"${each.left_usd}")
                for each in budget.end_users
            ],
        )


def _for(budget: Budget) -> str:
    if budget.scope == "global":
        return "everything"
    return f"{budget.scope.replace('_', ' ')} {budget.key_alias or budget.subject}"
