"""Keeping the books: every call begins and ends here, exactly once, priced and durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from time import time_ns
from typing import Any, TypeVar

from .call import Attempt, Call, Observer, Operation, Outcome
from .config import Deployment
from .errors import TollbookError
from .pricing.book import PriceBook
from .responses import ids
from .responses.usage import Usage
from .storage import Store, Turn

T = TypeVar("T")

_TYPICAL = Usage(
    input=750_000,
    output=250_000,
    units={"input_characters": 3_000_000, "output_characters": 1_000_000}
    | dict.fromkeys(("input_image_count", "output_image_count", "input_pages"), 0),
)
"""Three tokens in, one out, four characters each. How long it takes is not known."""

_KILLED = "The gateway was killed while this call was under way."

DRAIN = 20.0
"""Seconds."""

Clock = Callable[[], int]
"""Nanoseconds since 1970."""


class Books:
    """Begins, prices and ends calls; the observers hear of each."""

    def __init__(
        self,
        store: Store,
        prices: PriceBook,
        observers: Sequence[Observer] = (),
        *,
        make_id: ids.MakeId = ids.make_id,
        clock: Clock = time_ns,
    ) -> None:
        self.store = store
        self.make_id = make_id
        self.clock = clock
        self._prices = prices
        self._observers = tuple(observers)
        self._pending: set[asyncio.Task[None]] = set()
        self._drains: set[asyncio.Task[None]] = set()

    def begin(self, operation: Operation) -> Call:
        """A new call. It must be ended."""
        call = Call(id=self.make_id("call"), operation=operation, started=self.clock())
        for observer in self._observers:
            observer.begins(call)
        return call

    def attempt_begins(self, call: Call, attempt: Attempt, input_tokens: int) -> dict[str, str]:
        """An attempt is about to be sent, with about so many tokens of input; from here on not even a kill leaves it without
        a row. Answers headers that the observers want sent along (trace context).

        Raises Unavailable when the books cannot be kept (disk full): then nothing may be sent.
        """
        headers: dict[str, str] = {}
        for observer in self._observers:
            headers |= observer.attempt_begins(call, attempt)
        # After them, so that what a kill leaves behind has the id that the provider was told.
        self.store.begins(call, attempt, input_tokens)
        return headers

    def attempt_ends(
        self, call: Call, attempt: Attempt, deployment: Deployment | None, *, at: int | None = None
    ) -> None:
        """The attempt is over (since `at`, if not just now): its usage is final and gets its price."""
        attempt.ended = self.clock() if at is None else at
        attempt.cost = self._prices.price(
            attempt.provider,
            attempt.model,
            attempt.usage,
            at=attempt.started,
            tier=attempt.service_tier,
            deployment=deployment,
            served_model=attempt.served_model,
            answered=attempt.outcome in ("completed", "incomplete"),
        )
        for observer in self._observers:
            observer.attempt_ends(call, attempt)

    def typical_cost(self, deployment: Deployment) -> float | None:
        """What a call of usual proportions (three tokens in, one out) costs there, in nano-USD; None when unpriced."""
        price = self._prices.price
        return price(deployment.provider, deployment.model, _TYPICAL, at=self.clock(), deployment=deployment).total

    def units(self, attempt: Attempt, deployment: Deployment) -> tuple[str, ...]:
        """What the attempt's price counts beside tokens (`Usage.units`); nearly always nothing."""
        return self._prices.units(
            attempt.provider,
            attempt.model,
            deployment,
            at=attempt.started,
            tier=attempt.service_tier,
            served_model=attempt.served_model,
        )

    def priced(self, deployments: Iterable[Deployment]) -> bool:
        """Whether the price of one of these places is known."""
        return any(self._prices.known(each) for each in deployments)

    def dearest(self, deployments: Iterable[Deployment], usage: Usage, tier: str | None = None) -> int | None:
        """What so many tokens cost at the dearest of these places, in nano-USD; None when none of their prices is known.

        A `tier` that was asked for may be served or not, so the standard one counts, too.
        """
        tiers = {None, tier}
        costs = (self._prices.bound(each, usage, tier=asked).total for each in deployments for asked in tiers)
        return max((cost for cost in costs if cost is not None), default=None)

    async def recover(self, deployments: Mapping[str, Deployment]) -> int:
        """Book the calls that killed processes had begun, with what was heard of them; answers how many.

        Raises Unavailable when the books cannot be asked; then they wait for the next time.
        """
        count = 0
        async for unfinished in self.store.unfinished():
            call = unfinished.call
            for attempt in call.attempts:
                if attempt.ended is None:
                    attempt.outcome, attempt.error_message = "failed", _KILLED
                    deployment = deployments.get(attempt.deployment)
                    self.attempt_ends(call, attempt, deployment, at=unfinished.heard)
            error = TollbookError(_KILLED, code="gateway_killed")
            await self.end(call, "failed", error=error, at=unfinished.heard)
            count += 1
        return count

    async def end(
        self,
        call: Call,
        outcome: Outcome,
        *,
        error: TollbookError | None = None,
        turn: Turn | None = None,
        at: int | None = None,
    ) -> None:
        """The call is over (since `at`, if not just now). When this returns, it is durable, and the turn can be followed up.

        Raises Unavailable when the books cannot be kept (disk full): then nothing may be told to be complete.
        """
        self._close(call, outcome, error, at)
        try:
            await self.store.record(call, turn)
        finally:
            for observer in self._observers:
                observer.ends(call)

    async def keep(self, call: Call, work: Awaitable[T]) -> T:
        """Do it, and end the call by how it went."""
        try:
            result = await work
        except TollbookError as error:
            await self.end(call, "rejected" if error.status < 500 else "failed", error=error)
            raise
        except asyncio.CancelledError:
            self.later(self.end(call, "client_disconnected"))
            raise
        await self.end(call, "completed")
        return result

    async def look(self, call: Call, work: Awaitable[T]) -> T:
        """Do it without leaving a row: reading the books does not fill them."""
        try:
            return await work
        finally:
            self._close(call, "completed", None)
            for observer in self._observers:
                observer.ends(call)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in a task of its own: the one that asked is being cancelled."""
        _keep(self._pending, work)

    def drain(self, work: Coroutine[Any, Any, None]) -> None:
        """The same for reading an answer on without its client; at the end it gets DRAIN seconds more, then it is cancelled."""
        _keep(self._drains, work)

    async def settle(self) -> None:
        """Finish what is under way in this event loop."""
        loop = asyncio.get_running_loop()
        drains = [task for task in tuple(self._drains) if task.get_loop() is loop]
        if drains:
            _, late = await asyncio.wait(drains, timeout=DRAIN)
            for task in late:
                task.cancel()
            await asyncio.wait(drains)
        while pending := [task for task in tuple(self._pending) if task.get_loop() is loop]:
            await asyncio.gather(*pending, return_exceptions=True)

    async def close(self) -> None:
        """Finish what is under way, then close the store."""
        await self.settle()
        await self.store.close()

    def _close(self, call: Call, outcome: Outcome, error: TollbookError | None, at: int | None = None) -> None:
        call.ended = self.clock() if at is None else at
        call.outcome = "client_disconnected" if call.client_gone else outcome
        call.error = error
        call.status = 200 if error is None else error.status


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
