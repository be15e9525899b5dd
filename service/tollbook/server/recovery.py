"""What killed processes had begun is booked by the next one, and what they had reserved is settled by what the books say."""

from __future__ import annotations

import asyncio
import logging

from tollbook.access.allowances import Allowances
from tollbook.errors import NotFound, Unavailable
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook

RECOVERY = 10.0
"""Seconds between two looks for what killed workers had begun."""

_log = logging.getLogger("tollbook")


async def recover(gateway: Gateway, prices: PriceBook, allowances: Allowances, *, again: bool) -> None:
    """At the start, and `again` and again where other workers may be killed."""
    await prices.ready()
    unknown: set[str] | None = set() if again else None

    async def cost_of(call_id: str) -> int | None:
        try:
            call = await gateway.books.store.call(call_id, None)
        except NotFound:
            return None
        known: int = sum(attempt["cost"]["nano_usd"] or 0 for attempt in call["attempts"])
        return known

    while True:
        try:
            booked = await gateway.books.recover(gateway.config.deployments)
            if booked:
                _log.warning("%d calls of a killed process are booked, with estimated usage", booked)
            # Another worker may be about to book a call that is in no books yet: it is waited for until the next look.
            settled, missing = await allowances.recover(cost_of, given_up=unknown)
            if settled:
                _log.warning("%d calls of a killed process are settled", settled)
            unknown = missing if again else None
        except Unavailable as failure:
            _log.warning("What killed processes had begun is not booked yet: %s", failure)
        else:
            if not again:
                return
        await asyncio.sleep(RECOVERY)
