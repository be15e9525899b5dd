"""What was done to keys, teams and budgets, over HTTP."""

from __future__ import annotations

import asyncio

from litestar import get

from tollbook.access import shapes, shown
from tollbook.server.routes import everywhere, whole_number

from .door import REFUSALS, Asked, keys_of, master_only


@get(everywhere("/audit"), guards=[master_only], responses=REFUSALS)
async def list_audit(request: Asked) -> shapes.Audit:
    """What was done to keys, teams and budgets, newest first. Pages by `before` (a number) and `limit`."""
    limit = whole_number(request, "limit", 100, least=1, most=1000)
    before = whole_number(request, "before", 2**53, least=1, most=2**53)
    rows = await asyncio.to_thread(keys_of(request).audit, limit + 1, before)
    acts = [shown.act(row) for row in rows[:limit]]
    return shapes.Audit(data=acts, has_more=len(rows) > limit)


ROUTES = [list_audit]
