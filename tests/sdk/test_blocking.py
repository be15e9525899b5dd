"""Threads, loops, forks, interrupts: one Router for all of them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import tollbook
from tollbook import Router

from .loopback import Provider, deployment, provider

SIMULATED = [{"model_name": "echo", "litellm_params": {"model": "simulated/echo"}}]


@pytest.fixture
def slow() -> Iterator[Provider]:
    """A provider that says a word every 50 ms for a minute."""
    with provider(words=["word "] * 1200, gap=0.05) as upstream:
        yield upstream


def until(said: Any, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if said():
            return True
        time.sleep(0.01)
    return False


def test_many_threads_share_a_router() -> None:
    with provider() as upstream, Router([deployment(upstream.url)]) as router, ThreadPoolExecutor(16) as threads:

        def chain(number: int) -> str:
            made = router.responses(f"chain {number}", "gpt")
            events = list(router.responses("next", "gpt", previous_response_id=made.id, stream=True))
            assert events[-1].type == "response.completed"
            return made.id

        ids = list(threads.map(chain, range(48)))

    assert len(set(ids)) == 48
    assert len(upstream.asked) == 96
    named = [thread.name for thread in threading.enumerate()]
    assert "tollbook-loop" not in named


def test_it_works_where_a_loop_is_running() -> None:
    """As in a notebook: the thread waits, the call goes on."""

    async def cell() -> list[str]:
        whole = tollbook.responses(model="simulated/echo", input="hi").output_text
        events = [event.type for event in tollbook.responses(model="simulated/echo", input="hi", stream=True)]
        return [whole, events[-1]]

    assert asyncio.run(cell()) == ["You said: hi. It is the first message I see.", "response.completed"]


def test_several_loops_share_a_router() -> None:
    """One after the other and side by side; each leaves without a warning, an open connection or a lost booking."""
    with provider() as upstream, Router([deployment(upstream.url)]) as router:

        async def chain() -> str:
            made = await router.aresponses("hi", "gpt")
            follow, *_others = await asyncio.gather(
                *(router.aresponses("and?", "gpt", previous_response_id=made.id) for _ in range(5))
            )
            async for _ in await router.aresponses("more", "gpt", previous_response_id=follow.id, stream=True):
                pass
            return str(router.get_responses(follow.id).status)

        assert [asyncio.run(chain()) for _ in range(3)] == ["completed"] * 3
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda _: asyncio.run(chain()), range(8))) == ["completed"] * 8
        assert router._engine()._guards.keys() == {router._engine().background._loop}


def test_leaving_a_loop_of_another_thread_waits_for_it() -> None:
    """`close` while a loop elsewhere is still running: its connections are closed, too."""
    with provider() as upstream:
        router = Router([deployment(upstream.url)])
        used, over = threading.Event(), threading.Event()

        async def elsewhere() -> None:
            await router.aresponses("hi", "gpt")
            used.set()
            await asyncio.to_thread(over.wait)

        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        assert used.wait(10)
        router.close()
        over.set()
        thread.join(10)

    assert not thread.is_alive()


def test_a_router_that_is_forgotten_leaves_no_thread_and_lets_go_of_its_folder(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    router = Router(SIMULATED, store=tmp_path)
    made = router.responses("hi", "echo")
    assert set(threading.enumerate()) > before
    del router
    gc.collect()

    assert until(lambda: not {t for t in threading.enumerate() if t.name.startswith("tollbook")} - before)
    with Router(SIMULATED, store=tmp_path) as again:
        assert again.get_responses(made.id) == made


# -------------------------------------------------------------------------------------------------------- leaving early


def test_a_stream_that_is_closed_hangs_up_at_once(slow: Provider) -> None:
    with Router([deployment(slow.url)]) as router:
        with router.responses("hi", "gpt", stream=True) as stream:
            next(stream)
        assert slow.gone.wait(5)
        assert until(lambda: stream.call.outcome)
        assert stream.call.outcome == "client_disconnected"
        assert stream.call.attempts[0].outcome == "client_disconnected"
        stream.close()
        assert list(stream) == []


def test_a_stream_that_is_forgotten_hangs_up_at_once(slow: Provider) -> None:
    with Router([deployment(slow.url)]) as router:
        for event in router.responses("hi", "gpt", stream=True):
            if event.type.endswith(".delta"):
                break
        assert slow.gone.wait(5)


async def test_so_does_an_asynchronous_one(slow: Provider) -> None:
    async with Router([deployment(slow.url)]) as router:
        async for _ in await router.aresponses("hi", "gpt", stream=True):
            break
        assert await asyncio.to_thread(slow.gone.wait, 5)

        slow.gone.clear()
        async with await router.aresponses("hi", "gpt", stream=True) as stream:
            await anext(stream)
        assert await asyncio.to_thread(slow.gone.wait, 5)
        assert [event async for event in stream] == []


async def test_cancelling_the_task_hangs_up(slow: Provider) -> None:
    async with Router([deployment(slow.url)]) as router:
        heard = asyncio.Event()
        streams: list[tollbook.AsyncStream] = []

        async def listen() -> None:
            streams.append(await router.aresponses("hi", "gpt", stream=True))
            async for _ in streams[0]:
                heard.set()

        task = asyncio.create_task(listen())
        await asyncio.wait_for(heard.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(slow.gone.wait, 5)
        assert await asyncio.to_thread(until, lambda: streams[0].call.outcome)
        assert streams[0].call.outcome == "client_disconnected"


def test_a_loop_that_ends_in_the_middle_of_a_stream_ends_it(slow: Provider, caplog: pytest.LogCaptureFixture) -> None:
    """The stream is still referenced when `asyncio.run` is over: nothing may be logged, lost or left open."""
    streams: list[tollbook.AsyncStream] = []
    with Router([deployment(slow.url)]) as router:

        async def begin() -> None:
            streams.append(await router.aresponses("hi", "gpt", stream=True))
            await anext(streams[0])

        asyncio.run(begin())
        assert slow.gone.wait(5)

    assert streams[0].call.outcome == "client_disconnected"
    assert caplog.records == []


def test_closing_the_router_ends_what_is_under_way(slow: Provider) -> None:
    router = Router([deployment(slow.url)])
    stream = router.responses("hi", "gpt", stream=True)
    next(stream)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(list, stream)
        time.sleep(0.2)
        router.close()
        with pytest.raises(RuntimeError, match="closed"):
            waiting.result(10)
    assert slow.gone.wait(5)
    assert stream.call.outcome == "client_disconnected"
    stream.close()


def test_an_interrupt_cancels_the_call() -> None:
    """Ctrl-C while waiting: the provider is hung up on, the call is booked, the Router goes on."""
    with provider(first=1.0) as upstream, Router([deployment(upstream.url), *SIMULATED]) as router:

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                router.responses("hi", "gpt")
        finally:
            signal.signal(signal.SIGALRM, before)

        assert time.monotonic() - began < 0.95
        (row,) = router._engine().background.run(router._engine().books.store.calls(key_id=None, limit=10, before=None))
        assert row["outcome"] == "client_disconnected"
        assert router.responses("hi", "echo").output_text
    assert len(upstream.asked) == 1


def test_the_loops_own_thread_is_told_to_await() -> None:
    with Router(SIMULATED) as router:

        async def inside() -> None:
            router.responses("hi", "echo")

        with pytest.raises(RuntimeError, match="await the asynchronous function"):
            router._engine().background.run(inside())


# ---------------------------------------------------------------------------------------------------------------- forks

FORK = """
import os, sys, tollbook

folder, how = sys.argv[1], sys.argv[2]
router = tollbook.Router(store=folder or ":memory:")
parent = router.responses("from the parent", "simulated/echo")
stream = router.responses("hi", "simulated/echo:gap=5", stream=True)
next(stream)
child = os.fork()
if child == 0:
    made = router.responses("from the child", "simulated/echo")
    assert made.output_text.startswith("You said: from the child"), made
    assert [e.type for e in router.responses("hi", "simulated/echo", stream=True)][-1] == "response.completed"
    try:
        list(stream)
    except RuntimeError as told:
        assert "forked" in str(told)
    else:
        raise AssertionError("the stream belongs to the parent")
    if folder:
        try:
            router.get_responses(made.id)
        except tollbook.Unavailable as told:
            assert "recorder" in str(told)
    else:
        assert router.get_responses(made.id) == made
    if how == "exit":
        sys.exit(7)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert [e.type for e in stream][-1] == "response.completed"
follow = router.responses("next", "simulated/echo", previous_response_id=parent.id)
assert "from the parent" in follow.output_text
router.close()
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("how", ["exit", "_exit"])
@pytest.mark.parametrize("kept", [True, False], ids=["folder", "memory"])
def test_a_fork_begins_afresh_and_leaves_the_parents_things_alone(kept: bool, how: str, tmp_path: Path) -> None:
    """The child's calls are in the books, too: it writes a journal of its own, which the parent takes over."""
    folder = str(tmp_path) if kept else ""
    done = subprocess.run(
        [sys.executable, "-c", FORK, folder, how], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
    if kept:
        import duckdb

        with duckdb.connect(str(tmp_path / "tollbook.duckdb"), read_only=True) as books:
            found = books.execute(
                "SELECT operation, outcome, count(*) FROM spend WHERE answered GROUP BY ALL ORDER BY ALL"
            ).fetchall()
        # Three of the parent and two of the child.
        assert found == [("create", "completed", 5)]
