"""How the deployments are doing, over HTTP."""

from __future__ import annotations

from typing import Any

from litestar import get

from tollbook.server.routes import everywhere, gateway_of

from .door import REFUSALS, Asked, master_only


@get(everywhere("/deployments"), guards=[master_only], responses=REFUSALS)
async def list_deployments(request: Asked) -> dict[str, Any]:
    """Every deployment with how it is doing: in flight, latency, failures, cooling until when and why."""
    return {"object": "list", "data": gateway_of(request).deployments()}


ROUTES = [list_deployments]
