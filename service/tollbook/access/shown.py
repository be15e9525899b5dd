"""Keys, teams and budgets as their shapes: for the routes and for `--json` on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from tollbook.call import format_usd

from . import shapes
from .admission import State
from .allowances import Standing, moment
from .key import Key
from .rules import subject_of
from .teams import Team


def key(
    known: Key,
    *,
    secret: str | UnsetType = UNSET,
    until: int | None = None,
    budgets: list[shapes.Budget] | UnsetType = UNSET,
    warnings: list[str] | UnsetType = UNSET,
) -> shapes.Key:
    fields: dict[str, Any] = {name: getattr(known, name) for name in Key.__slots__}
    for name in ("created", "expires", "last_used", "revoked"):
        fields[name] = moment(fields[name])
    fields |= {"models": list(known.models), "tags": list(known.tags)}
    until_then = UNSET if until is None else moment(until) or UNSET
    return shapes.Key(**fields, secret=secret, old_secret_until=until_then, budgets=budgets, warnings=warnings or UNSET)


def team(
    known: Team,
    *,
    budgets: list[shapes.Budget] | UnsetType = UNSET,
    warnings: list[str] | UnsetType = UNSET,
) -> shapes.Team:
    fields: dict[str, Any] = {name: getattr(known, name) for name in Team.__slots__}
    fields |= {"models": list(known.models), "tags": list(known.tags), "created": moment(known.created)}
    return shapes.Team(**fields, budgets=budgets, warnings=warnings or UNSET)


def budget(standing: Standing, known_keys: Mapping[str, Key], *, users: bool = True) -> shapes.Budget:
    """A budget and how it stands; `users` with the end users that each have one."""
    state = standing.state
    known = state.budget
    owner = known_keys.get(known.subject) if known.scope == "key" else None
    of_users = known.scope == "end_user"
    return shapes.Budget(
        id=known.id,
        name=known.name,
        scope=known.scope,
        subject=known.subject,
        key_alias=owner.alias if owner else None,
        amount_usd=format_usd(known.amount),
        window=known.window.text,
        zone=known.window.zone,
        soft=known.soft,
        spent_usd=format_usd(state.spent),
        reserved_usd=format_usd(state.reserved),
        # Each end user has a whole amount, so there is no telling what is left to all of them.
        left_usd=format_usd(known.amount if of_users else state.left),
        resets_at=moment(state.resets_at),
        created=moment(known.created or None),
        configured=known.configured,
        end_user_count=standing.subjects if of_users else UNSET,
        end_users=[_share(each) for each in standing.each] if of_users and users else UNSET,
    )


def _share(state: State) -> shapes.Share:
    return shapes.Share(
        end_user=subject_of(state.account),
        spent_usd=format_usd(state.spent),
        reserved_usd=format_usd(state.reserved),
        left_usd=format_usd(state.left),
    )


def act(row: Mapping[str, Any]) -> shapes.Act:
    """A row of the audit, its details in the words of the shapes."""
    details = dict(_detail(name, value) for name, value in row["details"].items())
    return shapes.Act(**{**row, "at": moment(row["at"]), "details": details})


def _detail(name: str, value: Any) -> tuple[str, Any]:
    """A detail of a change is [before, after]."""
    if name == "amount":
        return "amount_usd", [format_usd(each) for each in value] if isinstance(value, list) else format_usd(value)
    if name in ("expires", "until"):
        return name, [moment(each) for each in value] if isinstance(value, list) else moment(value)
    return ("window" if name == "span" else name), value
