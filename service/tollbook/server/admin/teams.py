"""Teams over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody

from tollbook.access import shapes, shown
from tollbook.access.teams import Team
from tollbook.server.routes import everywhere

from . import asked
from .door import REFUSALS, Asked, actor, keys_of, master_only


@post(everywhere("/teams"), status_code=201, guards=[master_only], responses=REFUSALS)
async def create_team(request: Asked, data: JSONBody[shapes.NewTeam]) -> shapes.Team:
    """Make a team."""
    team = await asyncio.to_thread(
        lambda: keys_of(request).create_team(
            data.name,
            budgets=[asked.own_budget(each) for each in data.budgets or ()],
            models=data.models or (),
            tags=data.tags or (),
            rpm=data.rpm,
            tpm=data.tpm,
            actor=actor(request),
        )
    )
    return await _whole(request, team, warnings=asked.warnings_for(request, data.models, None))


@get(everywhere("/teams"), guards=[master_only], responses=REFUSALS)
async def list_teams(request: Asked) -> shapes.TeamList:
    """All teams."""
    found = await asyncio.to_thread(keys_of(request).teams.list)
    return shapes.TeamList(data=[shown.team(each) for each in found])


@get(everywhere("/teams/{name:str}"), guards=[master_only], responses=REFUSALS)
async def get_team(request: Asked, name: FromPath[str]) -> shapes.Team:
    """A team, by name or id, with its budgets."""
    return await _whole(request, await asyncio.to_thread(keys_of(request).teams.find, name))


@patch(everywhere("/teams/{name:str}"), guards=[master_only], responses=REFUSALS)
async def change_team(request: Asked, name: FromPath[str], data: JSONBody[shapes.TeamChange]) -> shapes.Team:
    """Change a team's terms, for all its keys."""
    terms = asked.said(data)
    team = await asyncio.to_thread(keys_of(request).teams.change, name, terms, actor=actor(request))
    return await _whole(request, team, warnings=asked.warnings_for(request, data.models, None))


@post(everywhere("/teams/{name:str}/block"), status_code=200, guards=[master_only], responses=REFUSALS)
async def block_team(request: Asked, name: FromPath[str]) -> shapes.Team:
    """Refuse all keys of a team."""
    return shown.team(await asyncio.to_thread(keys_of(request).teams.block, name, True, actor=actor(request)))


@post(everywhere("/teams/{name:str}/unblock"), status_code=200, guards=[master_only], responses=REFUSALS)
async def unblock_team(request: Asked, name: FromPath[str]) -> shapes.Team:
    """Let the keys of a blocked team be used again."""
    return shown.team(await asyncio.to_thread(keys_of(request).teams.block, name, False, actor=actor(request)))


@delete(everywhere("/teams/{name:str}"), status_code=200, guards=[master_only], responses=REFUSALS)
async def remove_team(request: Asked, name: FromPath[str]) -> shapes.Removed:
    """Remove a team to which no key belongs, and its budgets."""
    team = await asyncio.to_thread(keys_of(request).teams.remove, name, actor=actor(request))
    return shapes.Removed(id=team.id, object="team")


async def _whole(request: Asked, team: Team, **more: Any) -> shapes.Team:
    return shown.team(team, budgets=await asked.budgets_of(request, "team", team.name), **more)


ROUTES = [create_team, list_teams, get_team, change_team, block_team, unblock_team, remove_team]
