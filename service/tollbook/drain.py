"""Reading on without the client (`on_disconnect: drain`): what an answer used is known at its end only, and most providers
go on making it, and billing it, when nobody listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from .transport.frame import Frame

Batches = AsyncGenerator[list[Frame]]


async def outlasting(
    frames: Batches, wanted: Callable[[], bool], go_on: Callable[[Coroutine[Any, Any, None]], object]
) -> Batches:
    """The same batches. When whoever reads them leaves and the rest is `wanted`, `go_on` is given the reading of it."""
    step: asyncio.Future[list[Frame] | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(anext(frames, None))
            batch = await asyncio.shield(step)  # whoever waits may be cancelled; what is under way must not be
            step = None
            if batch is None:
                return
            yield batch
    except (GeneratorExit, asyncio.CancelledError):
        if wanted():
            go_on(_rest(frames, step))
        else:
            await _stop(frames, step)
        raise
    except BaseException:
        await frames.aclose()
        raise


async def _rest(frames: Batches, step: asyncio.Future[list[Frame] | None] | None) -> None:
    try:
        more = True
        if step is not None:
            more = await step is not None
        if more:
            async for _ in frames:
                pass
    except asyncio.CancelledError:
        await _stop(frames, step)
        raise
    except Exception:  # noqa: S110 - it is booked with its failure, and nobody is there who would want to hear of it
        pass


async def _stop(frames: Batches, step: asyncio.Future[list[Frame] | None] | None) -> None:
    if step is not None:
        step.cancel()
        await asyncio.wait([step])
    await frames.aclose()
