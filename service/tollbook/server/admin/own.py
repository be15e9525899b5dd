"""What a key may know of itself."""

from __future__ import annotations

import asyncio

from litestar import get

from tollbook.access import shapes
from tollbook.access.allowances import moment
from tollbook.server.routes import everywhere

from . import asked
from .door import REFUSALS, Asked, allowances_of, caller_of, keys_of


@get(everywhere("/key"), responses=REFUSALS)
async def own_key(request: Asked) -> shapes.Own:
    """Who the key of this request is, what it may do, and what is left to it. For every key."""
    caller = caller_of(request)
    keys = keys_of(request)
    known = keys.rules.keys.get(caller.key_id)
    terms = keys.rules.of(caller.key_id, caller.team, None, "", "")
    limits = await asyncio.to_thread(allowances_of(request).limits, terms)
    own = [money.budget for money in terms.money if money.budget.scope in ("key", "team")]
    return shapes.Own(
        id=caller.key_id,
        alias=caller.alias,
        team=caller.team,
        admin=caller.admin,
        models=list(caller.models),
        team_models=list(caller.team_models),
        tags=list(caller.tags),
        unpriced=caller.unpriced,
        content=caller.content,
        expires=moment(known.expires) if known else None,
        max_parallel_requests=known.max_parallel_requests if known else None,
        limits=[
            shapes.Limit(
                whose=rate.whose,
                kind=left.kind,
                limit=left.limit,
                remaining=left.remaining,
                full_in=left.resets_in / 1e9,
            )
            for rate, left in limits
        ],
        budgets=await asked.budgets(request, own),
    )


ROUTES = [own_key]
