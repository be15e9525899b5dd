"""The administrator's routes: keys and deployments. Only the master key opens them (or nobody's, on a gateway without one)."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

from litestar import Request, delete, get, post

from tollbook.access.keys import Key, Keys, presented
from tollbook.errors import Forbidden, InvalidRequest
from tollbook.transport.wire import decode_strict

from .routes import everywhere, gateway_of

Asked = Request[Any, Any, Any]

_LARGEST = 64 * 1024
"""Bytes of an administrator's request."""


def administrator(request: Asked) -> Keys:
    """The keys, for somebody who may manage them. Raises Unauthenticated or Forbidden."""
    keys = cast("Keys", request.app.state.access)
    if not keys.authenticate(presented(request.headers)).admin:
        raise Forbidden("This needs the master key.", code="master_key_required")
    return keys


def _shown(key: Key) -> dict[str, Any]:
    """A key as JSON: times in RFC 3339, never its secret."""
    fields = asdict(key)
    for name in ("created", "expires", "last_used", "revoked"):
        nano = fields[name]
        fields[name] = None if nano is None else datetime.fromtimestamp(nano / 1e9, UTC).isoformat()
    return {"object": "key", **fields}


def _moment(value: Any) -> int | None:
    """`expires` as nanoseconds since 1970: seconds since 1970, or an RFC 3339 time."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and abs(value) < 1e12:  # noqa: PLR0124 - NaN
        return int(value * 1_000_000_000)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None:
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000_000)
    raise InvalidRequest(
        "'expires' must be seconds since 1970 or an RFC 3339 time.", param="expires", code="invalid_type"
    )


@post(everywhere("/keys"), status_code=201)
async def create_key(request: Asked) -> dict[str, Any]:
    """Make a key: `alias`, and optionally `team`, `owner`, `models` (patterns), `expires`. Its secret is shown this once."""
    keys = administrator(request)
    body = await request.body()
    try:
        told = decode_strict(body[:_LARGEST]) if body.strip() else {}
    except ValueError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from None
    if not isinstance(told, dict):
        raise InvalidRequest("The request must be a JSON object.", code="invalid_type")
    unknown = set(told) - {"alias", "team", "owner", "models", "expires"}
    if unknown:
        name = min(unknown)
        raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in ("alias", "team", "owner"):
        if told.get(name) is not None and not isinstance(told[name], str):
            raise InvalidRequest(f"'{name}' must be a string.", param=name, code="invalid_type")
    models = told.get("models") or []
    if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
        raise InvalidRequest("'models' must be a list of strings.", param="models", code="invalid_type")
    secret, key = await asyncio.to_thread(
        keys.create,
        told.get("alias") or "",
        team=told.get("team"),
        owner=told.get("owner"),
        models=models,
        expires=_moment(told.get("expires")),
    )
    return {**_shown(key), "secret": secret}


@get(everywhere("/keys"))
async def list_keys(request: Asked) -> dict[str, Any]:
    """All keys, without their secrets; `?revoked=true` lists those that were revoked, too."""
    keys = administrator(request)
    found = await asyncio.to_thread(keys.list, revoked=request.query_params.get("revoked") == "true")
    return {"object": "list", "data": [_shown(key) for key in found]}


@delete(everywhere("/keys/{name:str}"), status_code=200)
async def revoke_key(request: Asked, name: str) -> dict[str, Any]:
    """Revoke a key by id or alias. What it made stays its own; nobody can use it any more."""
    keys = administrator(request)
    key_id = await asyncio.to_thread(keys.revoke, name)
    return {"id": key_id, "object": "key", "revoked": True}


@get(everywhere("/deployments"))
async def list_deployments(request: Asked) -> dict[str, Any]:
    """Every deployment with how it is doing: in flight, latency, failures, cooling until when and why."""
    administrator(request)
    return {"object": "list", "data": gateway_of(request).deployments()}


ROUTES = [create_key, list_keys, revoke_key, list_deployments]
