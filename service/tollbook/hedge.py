"""A second attempt when the first is slow to speak. Who speaks first answers; the other is cancelled and booked.

Opt-in by a deployment's `hedge_after`. A request that leaves something behind upstream (background, conversation) is never
asked twice at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from .responses.types import Request
from .transport.frame import Frame
from .trial import Trial

Batches = AsyncGenerator[list[Frame]]
Try = Callable[[Trial], Batches]
Rival = Callable[[], Awaitable[Trial | None]]


def allowed(request: Request) -> bool:
    """Whether this request may be asked twice at once."""
    return not (request.get("background") or request.get("conversation"))


class Race:
    """An attempt, and after a while another. `trial` is the one that answers, or that failed last."""

    def __init__(self, trial: Trial, attempt: Try, rival: Rival | None) -> None:
        self.trial = trial
        self._attempt = attempt
        self._rival = rival

    def batches(self) -> Batches:
        """The frames of the one that answers. Raises UpstreamError when all failed; closing it closes all."""
        after = self.trial.deployment.hedge_after
        if self._rival is None or after is None:
            return self._attempt(self.trial)
        return self._race(self._rival, after)

    async def _race(self, rival: Rival, after: float) -> Batches:
        runners = [_Runner(self.trial, self._attempt)]
        try:
            await asyncio.wait([runners[0].first], timeout=after)
            if not runners[0].first.done():
                second = await rival()
                if second is not None:
                    runners.append(_Runner(second, self._attempt))
            winner = await self._first(runners)
            self.trial = winner.trial
            for loser in runners:
                if loser is not winner:
                    loser.trial.attempt.abandoned = not loser.first.done() or loser.first.exception() is None
                    await loser.close()
            frames = winner.first.result()
            if frames is None:
                return
            yield frames
            async for frames in winner.batches:
                yield frames
        finally:
            for runner in runners:
                await runner.close()

    async def _first(self, runners: list[_Runner]) -> _Runner:
        """Who speaks first, or is done first without a word. Raises the last one's failure when all failed."""
        while True:
            running = [runner.first for runner in runners if not runner.first.done()]
            for runner in runners:
                if runner.first.done() and runner.first.exception() is None:
                    return runner
            if not running:
                self.trial = runners[-1].trial
                raise runners[-1].first.exception() or AssertionError("a runner without failure has won")
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)


class _Runner:
    """One attempt under way: `first` is its first batch, None when it ends without any."""

    def __init__(self, trial: Trial, attempt: Try) -> None:
        self.trial = trial
        self.batches = attempt(trial)
        self.first = asyncio.ensure_future(self._begin())

    async def _begin(self) -> list[Frame] | None:
        return await anext(self.batches, None)

    async def close(self) -> None:
        """Stop it, if it runs still, and wait until it is booked."""
        self.first.cancel()
        await asyncio.wait([self.first])
        await self.batches.aclose()
        self.trial.choice.close()
