"""tollbook audit: what was done to keys, teams and budgets, and by whom."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from . import desk
from .terminal import note, table

HELP = "show what was done to keys, teams and budgets"


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit", type=_count, default=50, metavar="N", help="so many, the newest (default: %(default)s)"
    )
    parser.add_argument("--before", type=_count, metavar="NUMBER", help="only those before the one with this number")
    desk.json_argument(parser)
    desk.places(parser)


def run(args: Namespace) -> int:
    with desk.opened(args) as opened:
        rows = opened.keys.audit(args.limit + 1, args.before)
    more, rows = len(rows) > args.limit, rows[: args.limit]
    from tollbook.access import shapes, shown

    acts = [shown.act(row) for row in rows]
    if args.json:
        desk.say_json(shapes.Audit(data=acts, has_more=more))
    elif acts:
        columns = ("Number", "When (UTC)", "Who", "What", "Name", "Id", "Details")
        cells = [
            (
                str(act.number),
                desk.short(act.at),
                act.actor,
                f"{act.action} {act.kind}",
                act.name,
                act.subject,
                json.dumps(act.details, ensure_ascii=False) if act.details else "",
            )
            for act in acts
        ]
        table(columns, cells)
    else:
        note("nothing was done")
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 2**53:
        raise ArgumentTypeError("a whole number from 1 on")
    return int(text)
