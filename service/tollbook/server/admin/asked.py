"""What several of the routes do with a request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from tollbook.access import shapes, shown
from tollbook.access.keys import unmatched
from tollbook.config.budgets import Budget
from tollbook.errors import InvalidRequest
from tollbook.server.routes import gateway_of

from .door import Asked, allowances_of, keys_of


async def budgets(request: Asked, known: Sequence[Budget], *, users: bool = True) -> list[shapes.Budget]:
    """Budgets with how they stand now; `users` with the end users that each have one."""
    standings = await asyncio.to_thread(allowances_of(request).standings, known)
    known_keys = keys_of(request).rules.keys
    return [shown.budget(standing, known_keys, users=users) for standing in standings]


async def budgets_of(request: Asked, scope: str, *names: str) -> list[shapes.Budget]:
    """The budgets of a key (by id or alias, as the configuration may have it) or team."""
    found = await asyncio.to_thread(keys_of(request).budgets.list)
    return await budgets(request, [each for each in found if each.scope == scope and each.subject in names])


def warnings_for(request: Asked, models: Iterable[str] | UnsetType | None, team: str | UnsetType | None) -> list[str]:
    """What of a key's or team's terms is perhaps not meant."""
    names = gateway_of(request).config.names
    told = [
        f"no model fits the pattern {pattern!r}" for pattern in unmatched([] if not models else list(models), names)
    ]
    if isinstance(team, str) and team.strip() not in keys_of(request).rules.teams:
        told.append(f"the team {team.strip()!r} is new")
    return told


def said(change: Struct) -> dict[str, Any]:
    """The fields of a change that were given."""
    given = {name: getattr(change, name) for name in change.__struct_fields__}
    return {name: value for name, value in given.items() if value is not UNSET}


def own_budget(told: shapes.OwnBudget) -> dict[str, Any]:
    """As `Budgets.create` takes it."""
    return {
        "amount": told.amount_usd,
        "span": told.window,
        "zone": told.zone,
        "soft": told.soft,
        "name": told.name,
    }


def nanoseconds(value: float | str | None) -> int | None:
    """`expires` as nanoseconds since 1970: seconds since 1970, or an RFC 3339 time; a time without a zone is UTC.

    Raises InvalidRequest.
    """
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            return int(value * 1_000_000_000)
        told = datetime.fromisoformat(value)
        return int((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1_000_000_000)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            "'expires' must be seconds since 1970 or an RFC 3339 time.", param="expires", code="invalid_type"
        ) from None
