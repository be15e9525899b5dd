"""Keys over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody

from tollbook.access import shapes, shown
from tollbook.access.key import Key
from tollbook.server.routes import everywhere

from . import asked
from .door import REFUSALS, Asked, actor, keys_of, master_only


@post(everywhere("/keys"), status_code=201, guards=[master_only], responses=REFUSALS)
async def create_key(request: Asked, data: JSONBody[shapes.NewKey]) -> shapes.Key:
    """Make a key. Its secret is shown this once."""
    terms = {name: getattr(data, name) for name in data.__struct_fields__ if name not in ("alias", "budgets")}
    terms |= {"models": data.models or (), "tags": data.tags or (), "expires": asked.nanoseconds(data.expires)}
    warnings = asked.warnings_for(request, data.models, data.team)
    budgets = [asked.own_budget(each) for each in data.budgets or ()]
    secret, key = await asyncio.to_thread(
        lambda: keys_of(request).create(data.alias, budgets=budgets, actor=actor(request), **terms)
    )
    return await _whole(request, key, secret=secret, warnings=warnings)


@get(everywhere("/keys"), guards=[master_only], responses=REFUSALS)
async def list_keys(request: Asked) -> shapes.KeyList:
    """All keys, without their secrets; `?revoked=true` lists those that were revoked, too."""
    found = await asyncio.to_thread(keys_of(request).list, revoked=request.query_params.get("revoked") == "true")
    return shapes.KeyList(data=[shown.key(key) for key in found])


@get(everywhere("/keys/{name:str}"), guards=[master_only], responses=REFUSALS)
async def get_key(request: Asked, name: FromPath[str]) -> shapes.Key:
    """A key, by id or alias, with its budgets."""
    return await _whole(request, await asyncio.to_thread(keys_of(request).find, name))


@patch(everywhere("/keys/{name:str}"), guards=[master_only], responses=REFUSALS)
async def change_key(request: Asked, name: FromPath[str], data: JSONBody[shapes.KeyChange]) -> shapes.Key:
    """Change a key's terms. Calls under way go on by the old ones."""
    terms = asked.said(data)
    if "expires" in terms:
        terms["expires"] = asked.nanoseconds(terms["expires"])
    warnings = asked.warnings_for(request, data.models, data.team)
    key = await asyncio.to_thread(lambda: keys_of(request).change(name, actor=actor(request), **terms))
    return await _whole(request, key, warnings=warnings)


@post(everywhere("/keys/{name:str}/rotate"), status_code=200, guards=[master_only], responses=REFUSALS)
async def rotate_key(request: Asked, name: FromPath[str], data: JSONBody[shapes.Rotation] | None = None) -> shapes.Key:
    """Give a key another secret, shown this once. The old one is good for a day, or as `grace` says."""
    rotation = data or shapes.Rotation()
    secret, key, until = await asyncio.to_thread(
        lambda: keys_of(request).rotate(name, grace=rotation.grace, actor=actor(request))
    )
    return shown.key(key, secret=secret, until=until)


@post(everywhere("/keys/{name:str}/block"), status_code=200, guards=[master_only], responses=REFUSALS)
async def block_key(request: Asked, name: FromPath[str]) -> shapes.Key:
    """Suspend a key."""
    return await _blocked(request, name, blocked=True)


@post(everywhere("/keys/{name:str}/unblock"), status_code=200, guards=[master_only], responses=REFUSALS)
async def unblock_key(request: Asked, name: FromPath[str]) -> shapes.Key:
    """Let a blocked key be used again."""
    return await _blocked(request, name, blocked=False)


@delete(everywhere("/keys/{name:str}"), status_code=200, guards=[master_only], responses=REFUSALS)
async def revoke_key(request: Asked, name: FromPath[str]) -> shapes.Revoked:
    """Revoke a key by id or alias. What it made stays its own; nobody can use it any more, and its budgets end."""
    return shapes.Revoked(id=await asyncio.to_thread(keys_of(request).revoke, name, actor=actor(request)))


async def _blocked(request: Asked, name: str, *, blocked: bool) -> shapes.Key:
    keys = keys_of(request)
    identifier = await asyncio.to_thread(keys.block, name, blocked, actor=actor(request))
    return shown.key(await asyncio.to_thread(keys.find, identifier))


async def _whole(request: Asked, key: Key, **more: Any) -> shapes.Key:
    return shown.key(key, budgets=await asked.budgets_of(request, "key", key.id, key.alias), **more)


ROUTES = [create_key, list_keys, get_key, change_key, rotate_key, block_key, unblock_key, revoke_key]
