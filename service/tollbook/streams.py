"""Streams of events: `Stream` for a plain `for`, `AsyncStream` for `async for`.

A stream that is left early (`break`, an exception, `close`, or simply forgotten) closes its upstream connection at once, and the
call is booked as cancelled by the client with what it cost until then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeGuard

from .objects import Event, Response, ResponseEvent
from .responses.types import TERMINAL

if TYPE_CHECKING:
    from types import TracebackType

    from .blocking import Background
    from .call import Call
    from .gateway import Answer
    from .transport.frame import Frame


class Feed:
    """The frames of an answer, read in the event loop that began them."""

    def __init__(self, answer: Answer, parse: Callable[[str], Any] | None) -> None:
        self.call: Call = answer.call
        self._parse = parse
        self._frames = answer.frames
        self._loop = asyncio.get_running_loop()
        # A task of its own, because a loop that ends cancels its tasks before it closes its generators, and those in no
        # order: it closes the outer one first, which closes those within.
        self._keeper = self._loop.create_task(_keep(answer.frames))
        self._first: list[Event] | None = None

    @classmethod
    async def begin(cls, answer: Answer, parse: Callable[[str], Any] | None = None) -> Self:
        """Wait for the first events. What fails before them is raised here."""
        feed = cls(answer, parse)
        feed._first = await feed.read()
        return feed

    async def read(self) -> list[Event] | None:
        """The next events; None at the end."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            frames = await anext(self._frames, None)
        except BaseException:
            self._keeper.cancel()
            raise
        if frames is None:
            self._keeper.cancel()
            return None
        return [self._event(frame) for frame in frames]

    async def close(self) -> None:
        """Hang up. Closing twice, or after the end, is fine."""
        self._first = None
        await self._frames.aclose()
        self._keeper.cancel()

    def drop(self) -> None:
        """The same from anywhere, without waiting."""
        with suppress(RuntimeError):  # the loop is closed, and has closed everything itself
            self._loop.call_soon_threadsafe(self._keeper.cancel)

    def _event(self, frame: Frame) -> Event:
        event = Event.of(frame.event)
        if _ends(event):
            event.response.made_by(self.call, self._parse)
        return event


def _ends(event: Event) -> TypeGuard[ResponseEvent]:
    return event.type in TERMINAL and isinstance(event, ResponseEvent) and isinstance(event.response, Response)


async def _keep(frames: AsyncGenerator[Any]) -> None:
    """Wait until nobody wants the frames any more, then close them."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        with suppress(RuntimeError):  # somebody is reading them at this moment, and is being cancelled, too
            await frames.aclose()


class _Streaming:
    """What both kinds of stream tell."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._ready: deque[Event] = deque()
        self._response: Response | None = None
        self._over = False

    def _take(self, events: list[Event] | None) -> None:
        self._over = events is None
        self._ready.extend(events or ())

    def _give(self) -> Event:
        event = self._ready.popleft()
        if _ends(event):
            self._response = event.response
        return event

    @property
    def call(self) -> Call:
        """The record of the call; complete when the stream has ended."""
        return self._feed.call

    @property
    def response(self) -> Response | None:
        """The whole response, once its last event was given."""
        return self._response

    def __del__(self) -> None:
        if hasattr(self, "_feed"):
            self._feed.drop()


class AsyncStream(_Streaming):
    """Events as they come: `async for event in stream`. `async with stream` closes it at the end of the block.

    A failure after the first output is told by its last two events, `error` and `response.failed`.
    """

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._over:
                raise StopAsyncIteration
            self._take(await self._feed.read())
        return self._give()

    async def aclose(self) -> None:
        """Hang up: nothing more is read, made or paid."""
        self._ready.clear()
        self._over = True
        await self._feed.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Stream(_Streaming):
    """Events as they come: `for event in stream`. `with stream` closes it at the end of the block.

    A failure after the first output is told by its last two events, `error` and `response.failed`.
    """

    def __init__(self, feed: Feed, background: Background) -> None:
        super().__init__(feed)
        self._background = background

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._ready:
            if self._over:
                raise StopIteration
            self._take(self._background.run(self._feed.read()))
        return self._give()

    def close(self) -> None:
        """Hang up: nothing more is read, made or paid."""
        self._ready.clear()
        self._over = True
        if self._background.usable:  # otherwise it has hung up itself
            self._background.run(self._feed.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
