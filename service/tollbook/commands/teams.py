"""tollbook teams: terms that several keys share. A running gateway sees a change within a second."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from . import desk
from .desk import Desk
from .terminal import note, say, table

if TYPE_CHECKING:
    from tollbook.access.teams import Team

HELP = "create, list, change, block and remove teams of keys"

_TERMS = ("models", "tags", "rpm", "tpm")


def arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    create = verbs.add_parser("create", help="make a team")
    create.add_argument(
        "--budget",
        action="append",
        default=[],
        type=desk.own_budget,
        metavar="USD/WINDOW",
        help="such as 5/day, 20/30d, 100/month@Europe/Berlin; repeat for more",
    )
    show = verbs.add_parser("list", help="show the teams")
    one = verbs.add_parser("show", help="show a team with its budgets")
    edit = verbs.add_parser("edit", help="change a team's terms; what is not said stays, none takes away")
    changes = {
        "block": "refuse all keys of a team",
        "unblock": "let them be used again",
        "remove": "remove a team to which no key belongs",
    }
    others = [verbs.add_parser(verb, help=words) for verb, words in changes.items()]
    for verb in (create, one, edit, *others):
        verb.add_argument("team", help="its name")
    for verb in (create, edit):
        _terms(verb)
    desk.json_argument(create, show, one, edit)
    desk.places(create, show, one, edit, *others)


def _terms(parser: ArgumentParser) -> None:
    add: Any = parser.add_argument
    add(
        "--model",
        dest="models",
        default=SUPPRESS,
        action="append",
        metavar="NAME",
        help="a model its keys may use, * allowed; repeat for more; none: all",
    )
    add("--tag", dest="tags", default=SUPPRESS, action="append", help="a tag of its calls; repeat for more")
    add(
        "--rpm",
        default=SUPPRESS,
        type=desk.count_or_none,
        metavar="N",
        help="requests a minute of all its keys together",
    )
    add(
        "--tpm", default=SUPPRESS, type=desk.count_or_none, metavar="N", help="tokens a minute of all its keys together"
    )


def run(args: Namespace) -> int:
    with desk.opened(args) as opened:
        teams = opened.keys.teams
        match args.verb:
            case "create":
                terms = _told(args)
                opened.warn_of_models(terms.get("models", ()))
                team = opened.keys.create_team(args.team, budgets=args.budget, actor=desk.actor(), **terms)
                _show(opened, args, team)
            case "list":
                _list(args, teams.list())
            case "show":
                _show(opened, args, teams.find(args.team))
            case "edit":
                terms = _told(args)
                opened.warn_of_models(terms.get("models", ()))
                _show(opened, args, teams.change(args.team, terms, actor=desk.actor()))
            case "remove":
                say(f"removed {teams.remove(args.team, actor=desk.actor()).name}")
            case verb:
                say(f"{verb}ed {teams.block(args.team, verb == 'block', actor=desk.actor()).name}")
    return 0


def _told(args: Namespace) -> dict[str, Any]:
    terms = {name: getattr(args, name) for name in _TERMS if hasattr(args, name)}
    return {name: () if value == ["none"] else value for name, value in terms.items()}


def _list(args: Namespace, teams: list[Team]) -> None:
    if args.json:
        from tollbook.access import shapes, shown

        desk.say_json(shapes.TeamList(data=[shown.team(team) for team in teams]))
        return
    columns = ("Name", "Id", "Models", "Tags", "Limits", "Created", "State")
    rows = [
        (
            team.name,
            team.id,
            ", ".join(team.models) or "all",
            ", ".join(team.tags),
            desk.per_minute(team.rpm, team.tpm),
            desk.when(team.created),
            "blocked" if team.blocked else "active",
        )
        for team in teams
    ]
    if rows:
        table(columns, rows)
    else:
        note("no teams")


def _show(opened: Desk, args: Namespace, team: Team) -> None:
    budgets = opened.budgets_of("team", team.name)
    if args.json:
        from tollbook.access import shown

        desk.say_json(shown.team(team, budgets=budgets))
        return
    keys = [key.alias for key in opened.keys.list() if key.team == team.name]
    lines = {
        "name": team.name,
        "id": team.id,
        "keys": ", ".join(keys) or "none",
        "models": ", ".join(team.models) or "all",
        "tags": ", ".join(team.tags),
        "limits": desk.per_minute(team.rpm, team.tpm),
        "budgets": desk.left_of(budgets),
        "state": "blocked" if team.blocked else "active",
    }
    desk.sheet(lines)
