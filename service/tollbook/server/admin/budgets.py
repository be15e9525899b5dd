"""Budgets over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody

from tollbook.access import shapes
from tollbook.config.budgets import Budget
from tollbook.errors import InvalidRequest
from tollbook.server.routes import everywhere

from . import asked
from .door import REFUSALS, Asked, actor, allowances_of, keys_of, master_only

_SUBJECTS = ("key", "team", "end_user", "model")


@post(everywhere("/budgets"), status_code=201, guards=[master_only], responses=REFUSALS)
async def create_budget(request: Asked, data: JSONBody[shapes.NewBudget]) -> shapes.Budget:
    """Make a budget. It counts from now on, on every worker within a second."""
    keys = keys_of(request)
    named = [name for name in _SUBJECTS if getattr(data, name) is not None]
    if len(named) > 1:
        raise InvalidRequest(
            f"A budget is for one of {', '.join(_SUBJECTS)}, or for everything.",
            param=named[1],
            code="mutually_exclusive_parameters",
        )
    said: dict[str, Any] = {"scope": "global", **asked.own_budget(data)}
    if named:
        said |= {"scope": named[0], "subject": getattr(data, named[0])}

    def make() -> Budget:
        if said["scope"] == "key":
            key = keys.find(said["subject"])
            said.update(subject=key.id, label=key.alias)
        return keys.budgets.create(actor=actor(request), **said)

    return await _standing(request, await asyncio.to_thread(make))


@get(everywhere("/budgets"), guards=[master_only], responses=REFUSALS)
async def list_budgets(request: Asked) -> shapes.BudgetList:
    """All budgets, those of the configuration first: what is spent of each, reserved and left."""
    found = await asyncio.to_thread(keys_of(request).budgets.list)
    return shapes.BudgetList(data=await asked.budgets(request, found, users=False))


@get(everywhere("/budgets/{name:str}"), guards=[master_only], responses=REFUSALS)
async def get_budget(request: Asked, name: FromPath[str]) -> shapes.Budget:
    """A budget, by id or name; of one that each end user has also who spent the most."""
    return await _standing(request, await asyncio.to_thread(keys_of(request).budgets.find, name))


@patch(everywhere("/budgets/{name:str}"), guards=[master_only], responses=REFUSALS)
async def change_budget(request: Asked, name: FromPath[str], data: JSONBody[shapes.BudgetChange]) -> shapes.Budget:
    """Change a budget. What was spent stays spent."""
    given = asked.said(data)
    given = {_AS.get(field, field): value for field, value in given.items()}
    changed = await asyncio.to_thread(keys_of(request).budgets.change, name, given, actor=actor(request))
    return await _standing(request, changed)


@post(everywhere("/budgets/{name:str}/reset"), status_code=200, guards=[master_only], responses=REFUSALS)
async def reset_budget(request: Asked, name: FromPath[str]) -> shapes.Budget:
    """Begin again: nothing was spent. What calls under way reserve stays reserved; the books of calls stay as they are."""

    def reset() -> Budget:
        known = keys_of(request).budgets.reset(name, actor=actor(request))
        allowances_of(request).reset(known)
        return known

    return await _standing(request, await asyncio.to_thread(reset))


@delete(everywhere("/budgets/{name:str}"), status_code=200, guards=[master_only], responses=REFUSALS)
async def remove_budget(request: Asked, name: FromPath[str]) -> shapes.Removed:
    """Remove a budget."""
    removed = await asyncio.to_thread(keys_of(request).budgets.remove, name, actor=actor(request))
    return shapes.Removed(id=removed.id, object="budget")


_AS = {"amount_usd": "amount", "window": "span"}


async def _standing(request: Asked, budget: Budget) -> shapes.Budget:
    (found,) = await asked.budgets(request, [budget])
    return found


ROUTES = [create_budget, list_budgets, get_budget, change_budget, reset_budget, remove_budget]
