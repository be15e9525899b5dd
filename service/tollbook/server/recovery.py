"""What a process that was killed had reserved is settled by the next one, by what the books say of its calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tollbook.access.allowances import Allowances
from tollbook.errors import NotFound, Unavailable
from tollbook.storage import Store

_PAUSE = 1.0
"""Seconds until the books are asked again: the recorder of several workers starts beside them."""

_log = logging.getLogger("tollbook.budget")


@asynccontextmanager
async def recovering(allowances: Allowances, store: Store) -> AsyncIterator[None]:
    """Settle what was left behind, beside the first calls."""
    task = asyncio.create_task(_recover(allowances, store))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _recover(allowances: Allowances, store: Store) -> None:
    async def cost_of(call_id: str) -> int | None:
        try:
            call = await store.call(call_id, None)
        except NotFound:  # it ended before anything of it was booked
            return None
        known: int = sum(attempt["cost"]["nano_usd"] or 0 for attempt in call["attempts"])
        return known

    while True:
        try:
            settled = await allowances.recover(cost_of)
        except Unavailable as failure:
            _log.info("What was left behind cannot be settled yet: %s", failure.message)
            await asyncio.sleep(_PAUSE)
        else:
            if settled:
                _log.warning("%d calls of a process that was killed are settled", settled)
            return
