"""Four limits, four error codes; and the event loop is never blocked for long."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.protocol import check
from tests.server.upstream import Exchange, Upstream, chat_chunk
from tollbook.errors import UpstreamError

from .pipeline import model, pipeline

LONG = {"connect": 5.0, "first_event": 5.0, "idle": 5.0, "total": 5.0}


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that completes no handshake: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        callers = []
        for _ in range(4):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
            callers.append(caller)
        yield port
        for caller in callers:
            caller.close()


def config(target: str, url: str, **timeouts: float) -> dict[str, Any]:
    place = {"api_base": url, "api_key": "k", "timeouts": {**LONG, **timeouts}}
    return {"model_list": [model("m", f"openai_like/{target}", **place)], "router_settings": {"num_retries": 0}}


async def code(target: str, url: str, *, stream: bool, **timeouts: float) -> str | None:
    async with pipeline(config(target, url, **timeouts)) as of:
        told = await of.ask("m", stream=stream)
    if told.events:
        return check(told.events)["error"]["code"]  # type: ignore[no-any-return]
    assert isinstance(told.error, UpstreamError)
    assert (told.error.kind, told.error.status) == ("timeout", 504)
    return told.error.code


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_place_that_does_not_connect_breaks_connect(stream: bool, deaf: int) -> None:
    assert await code("x", f"http://127.0.0.1:{deaf}", stream=stream, connect=0.3) == "upstream_connect_timeout"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", ["stall", "stall-after-head", "drip"])
async def test_silence_and_a_drip_before_the_first_output_break_first_event(
    fault: str, stream: bool, upstream: Upstream
) -> None:
    found = await code(fault, upstream.url, stream=stream, first_event=0.4, idle=0.2)
    assert found == "upstream_first_event_timeout"


async def test_comments_after_the_first_output_are_silence(upstream: Upstream) -> None:
    assert await code("drip-later", upstream.url, stream=True, idle=0.4) == "upstream_idle_timeout"


async def test_half_an_event_byte_by_byte_is_silence(upstream: Upstream) -> None:
    async def half(exchange: Exchange) -> None:
        await exchange.head(content="text/event-stream")
        await exchange.event(chat_chunk({"content": "word"}))
        while True:
            await exchange.send(b"d")
            await asyncio.sleep(0.04)

    upstream.scripts["half"] = half
    assert await code("half", upstream.url, stream=True, idle=0.4) == "upstream_idle_timeout"


@pytest.mark.parametrize(("fault", "stream"), [("stall", False), ("endless", True)])
async def test_what_never_ends_breaks_total(fault: str, stream: bool, upstream: Upstream) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.head(content="text/event-stream")
        while True:
            await exchange.event(chat_chunk({"content": "word "}))
            await asyncio.sleep(0.05)

    upstream.scripts["endless"] = endless
    assert await code(fault, upstream.url, stream=stream, total=0.6, first_event=3.0) == "upstream_total_timeout"


async def test_the_event_loop_is_not_blocked_under_load_with_faults(upstream: Upstream) -> None:
    """A task that wants to run every 5 ms never waits for more than 50 ms of the gateway's work.

    The machine may be busy with something else, so the wait is taken in CPU time of the loop's thread.
    """
    models = [
        model("m", "openai_like/right", id="right", api_base=upstream.url, api_key="k"),
        model("m", "openai_like/500", id="500", api_base=upstream.url, api_key="k"),
        model("m", "openai_like/error-frame-later", id="later", api_base=upstream.url, api_key="k"),
        model("m", "simulated/story:gap=1", id="story", hedge_after=0.02),
    ]
    settings = {"disable_cooldowns": True, "enable_mid_stream_fallback_continuation": True, "num_retries": 5}
    blocked: list[float] = []

    async def tick() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            blocked.append(time.thread_time() - before)
            await asyncio.sleep(0.005)

    async with pipeline({"model_list": models, "router_settings": settings}) as of:
        await of.ask("m")  # libraries are imported at the first use
        await of.ask("m", stream=True)
        ticker = asyncio.create_task(tick())
        for _ in range(12):
            await asyncio.gather(*(of.ask("m", f"word {n}", stream=n % 2 == 0) for n in range(10)))
        ticker.cancel()

    assert len(blocked) > 20
    assert max(blocked) < 0.05
