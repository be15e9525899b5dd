"""The only sender: a body to an endpoint, the answer's bytes to frames, the frames to a reader.

Everything that can go wrong on the way becomes one `UpstreamError`. Connections are pooled per event loop, by httpx on
aiohttp's transport (about a third of the CPU of httpx's own).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from time import time_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .call import Attempt
from .config import Timeouts
from .dialects import Reader
from .errors import TollbookError, UpstreamError
from .providers import Endpoint
from .responses.draft import Draft
from .transport.eventstream import EventStreamDecoder
from .transport.frame import Frame
from .transport.sse import SSEDecoder
from .transport.wire import decode, encode
from .version import VERSION

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT = "upstream_connect_timeout"
"""The code of an attempt that never got through to its upstream."""

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of an answer that is not a stream."""

LARGEST_ERROR = 1024 * 1024
"""Bytes of a refusal that are read."""

_HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": f"tollbook/{VERSION}"}

_SSE, _EVENT_STREAM = "text/event-stream", "application/vnd.amazon.eventstream"

_FORWARDED = (
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-request-id",
    "openai-processing-ms",
    "openai-version",
)

_SECRETS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
"""Headers that say who we are."""


@dataclass(slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]
    sent: httpx.Request | None = None


class Upstream:
    """Sends requests to providers. One instance serves any number of event loops; `aclose` closes this loop's connections."""

    def __init__(self, *, connections: int = 1000, clock: Callable[[], int] = time_ns) -> None:
        self._connections = connections
        self._clock = clock
        self._transports: dict[asyncio.AbstractEventLoop, httpx.AsyncBaseTransport] = {}

    async def ask(
        self,
        endpoint: Endpoint,
        body: dict[str, Any],
        draft: Draft,
        reader: Reader,
        *,
        stream: bool,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        attempt: Attempt,
    ) -> AsyncGenerator[list[Frame]]:
        """Send and read; yields the draft's new frames as they come, until the answer is complete.

        Notes what it learns in `attempt`. Raises UpstreamError, also after frames were given: then the line was cut or
        the provider failed in the middle. Closing the generator closes the connection at once.
        """
        began = asyncio.get_running_loop().time()
        clock = _Clock(began, timeouts)
        async with AsyncExitStack() as stack:
            try:
                async with clock.until_first():
                    answer = await stack.enter_async_context(self._send(endpoint, body, stream, headers, timeouts))
                attempt.first_byte = self._clock()
                attempt.status_code = answer.status
                attempt.headers = _forwarded(answer.headers)
                attempt.upstream_request_id = _request_id(answer.headers)
                if answer.status >= 400:
                    raise await _refusal(endpoint, answer, clock)
                if 300 <= answer.status < 400:
                    raise UpstreamError(f"The upstream answered with a redirect ({answer.status}).", "server")
                async for frames in _read(answer, draft, reader, clock):
                    yield frames
            except TollbookError:
                raise
            except Exception as failure:
                raise _failure(failure, begun=attempt.first_byte is not None) from failure

    @asynccontextmanager
    async def _send(
        self, endpoint: Endpoint, body: dict[str, Any], stream: bool, headers: Mapping[str, str], timeouts: Timeouts
    ) -> AsyncIterator[_Answer]:
        if endpoint.adjust is not None:
            body = endpoint.adjust(body)
        raw = encode(body)
        if endpoint.local is not None:
            local = await endpoint.local(raw)
            yield _Answer(local.status, local.headers, local.chunks)
            return
        url = _url(endpoint.stream_url if stream else endpoint.url)
        said = {"content-type": "application/json", **endpoint.headers, **headers}
        response = await self._exchange(endpoint, "POST", url, said, raw, timeouts)
        try:
            yield _Answer(response.status_code, _plain(response), response.aiter_bytes(), response.request)
        finally:
            await response.aclose()

    async def call(self, endpoint: Endpoint, method: str, url: str, *, timeouts: Timeouts) -> Any:
        """A small request beside the main one (GET, DELETE or cancel of a stored response). The decoded JSON answer.

        Raises UpstreamError; `upstream_status` 404 means that the provider does not know it.
        """
        clock = _Clock(asyncio.get_running_loop().time(), Timeouts(total=60.0, first_event=60.0))
        try:
            async with clock.until_first():
                response = await self._exchange(endpoint, method, url, endpoint.headers, b"", timeouts)
            try:
                answer = _Answer(response.status_code, _plain(response), response.aiter_bytes(), response.request)
                if answer.status >= 400:
                    raise await _refusal(endpoint, answer, clock)
                return decode(await _collect(answer.chunks, LARGEST_BODY, clock) or b"null")
            finally:
                await response.aclose()
        except TollbookError:
            raise
        except Exception as failure:
            raise _failure(failure, begun=False) from failure

    async def _exchange(
        self,
        endpoint: Endpoint,
        method: str,
        url: httpx.URL | str,
        headers: Mapping[str, str],
        content: bytes,
        timeouts: Timeouts,
    ) -> httpx.Response:
        """One request and its authentication, until the answer's headers are in.

        Without httpx's client around the transport: its cookies, redirects and merged URLs are a third of a call's CPU, and
        a gateway wants none of them.
        """
        import httpx

        request = httpx.Request(
            method,
            url,
            headers={**_HEADERS, **headers},
            content=content,
            extensions={"timeout": {"connect": timeouts.connect}},
        )
        transport = self._transport()
        if endpoint.auth is None:
            return await transport.handle_async_request(request)
        async with aclosing(endpoint.auth.async_auth_flow(request)) as flow:
            request = await anext(flow)
            while True:
                response = await transport.handle_async_request(request)
                try:
                    request = await flow.asend(response)
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise
                await response.aclose()

    def _transport(self) -> httpx.AsyncBaseTransport:
        loop = asyncio.get_running_loop()
        transport = self._transports.get(loop)
        if transport is None:
            for over in [known for known in tuple(self._transports) if known.is_closed()]:
                self._transports.pop(over, None)
            transport = self._transports[loop] = _new_transport(self._connections)
        return transport

    async def aclose(self) -> None:
        transport = self._transports.pop(asyncio.get_running_loop(), None)
        if transport is not None:
            await transport.aclose()


@lru_cache(maxsize=4096)
def _url(text: str) -> httpx.URL:
    """Parsed once: the same few are used for every call."""
    import httpx

    return httpx.URL(text)


def _new_transport(connections: int) -> httpx.AsyncBaseTransport:
    import aiohttp
    import httpx
    import yarl
    from httpx_aiohttp import AiohttpTransport
    from httpx_aiohttp.transport import AiohttpResponseStream

    class Transport(AiohttpTransport):
        """httpx on aiohttp, with the URL sent as it is written: a signature covers `%3A`, not `:` (AWS Signature Version 4)."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not isinstance(self.client, aiohttp.ClientSession):
                connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=30.0, ttl_dns_cache=60)
                self.client = aiohttp.ClientSession(
                    connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
                )
            connect = request.extensions["timeout"]["connect"]
            response = await self.client.request(
                request.method,
                yarl.URL(str(request.url), encoded=True),
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect),
            )
            return httpx.Response(
                response.status,
                headers=list(response.raw_headers),
                stream=AiohttpResponseStream(response),
                request=request,
            )

    return Transport()


def _plain(response: httpx.Response) -> dict[str, str]:
    """Headers by lower-case name; of repeated ones the last."""
    return {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers.raw}


class _Clock:
    """The three waits of an attempt. Times are the event loop's."""

    def __init__(self, began: float, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._end = began + timeouts.total
        self._first = min(began + timeouts.first_event, self._end)
        self._next = self._first

    def heard(self) -> None:
        """An event came: from now on the time between events counts."""
        self._next = min(asyncio.get_running_loop().time() + self._timeouts.idle, self._end)

    @asynccontextmanager
    async def until_first(self) -> AsyncIterator[None]:
        limit = asyncio.timeout_at(self._first)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise  # the client library's own: no connection in time
            raise self._late() from None

    async def next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """The next chunk, or None at the end."""
        try:
            async with asyncio.timeout_at(self._next):
                return await anext(chunks, None)
        except TimeoutError:
            raise self._late() from None

    def _late(self) -> UpstreamError:
        if self._next >= self._end:
            return UpstreamError(
                f"The upstream was not done within {self._timeouts.total:g} s.",
                "timeout",
                code="upstream_total_timeout",
            )
        if self._next == self._first:
            return UpstreamError(
                f"The upstream sent no first event within {self._timeouts.first_event:g} s.",
                "timeout",
                code="upstream_first_event_timeout",
            )
        return UpstreamError(
            f"The upstream was silent for {self._timeouts.idle:g} s.", "timeout", code="upstream_idle_timeout"
        )


async def _read(answer: _Answer, draft: Draft, reader: Reader, clock: _Clock) -> AsyncIterator[list[Frame]]:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if "/" not in kind:
        first = await clock.next(answer.chunks)
        kind, answer.chunks = _guess(first or b""), _chain(first, answer.chunks)
    decoder: SSEDecoder | EventStreamDecoder
    if kind == _EVENT_STREAM:
        decoder = EventStreamDecoder()
    elif kind == _SSE:
        decoder = SSEDecoder()
    else:
        _whole(await _collect(answer.chunks, LARGEST_BODY, clock), kind, draft, reader)
        yield draft.take()
        return
    cut: UpstreamError | None = None
    heard = False
    while True:
        try:
            chunk = await clock.next(answer.chunks)
        except UpstreamError:
            raise
        except Exception as failure:  # the line broke: what is complete counts, then the reader says whether it was all
            cut, chunk = _failure(failure, begun=True), None
        event = False
        try:
            for frame in decoder.feed(chunk) if chunk is not None else decoder.flush():
                reader.feed(frame)
                event = heard = True
        except ValueError as broken:
            raise UpstreamError(f"The upstream's stream is broken: {broken}.", "server") from None
        if chunk is None:
            break
        if event and draft.has_output:  # bytes that make no event (comments, a slow drip) are silence
            clock.heard()
        if draft.frames:
            yield draft.take()
        if draft.done:
            return
    if not heard:
        raise cut or UpstreamError("The upstream sent an empty stream.", "server")
    try:
        reader.end()
    except UpstreamError as truncated:
        raise (cut or truncated) if truncated.kind == "truncated" else truncated from None
    yield draft.take()


def _guess(start: bytes) -> str:
    """The media type of an answer that names none, by how it begins."""
    if start.startswith(b"\0"):
        return _EVENT_STREAM
    return "application/json" if start.lstrip()[:1] in (b"{", b"[", b"") else _SSE


async def _chain(first: bytes | None, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first is not None:
        yield first
    async for chunk in rest:
        yield chunk


def _whole(raw: bytes, kind: str, draft: Draft, reader: Reader) -> None:
    try:
        body = decode(raw)
    except ValueError as broken:
        what = "nothing" if not raw.strip() else f"{kind or 'something without a content type'}, not JSON ({broken})"
        raise UpstreamError(f"The upstream answered {what}.", "server") from None
    reader.whole(body)
    if not draft.done:
        draft.end()


async def _collect(chunks: AsyncIterator[bytes], most: int, clock: _Clock) -> bytes:
    parts: list[bytes] = []
    size = 0
    while (chunk := await clock.next(chunks)) is not None:
        parts.append(chunk)
        size += len(chunk)
        if size > most:
            raise UpstreamError(f"The upstream's answer is larger than {most} bytes.", "server")
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _refusal(endpoint: Endpoint, answer: _Answer, clock: _Clock) -> UpstreamError:
    """The provider's own words, as far as they can be read, without our key: some hosts quote the one they refuse."""
    body = b""
    try:
        body = await _collect(answer.chunks, LARGEST_ERROR, clock)
    except Exception as unreadable:
        body = str(unreadable).encode()
    for secret in _secrets(answer.sent):
        body = body.replace(secret, b"***")
    error = endpoint.dialect.error(answer.status, body, answer.headers)
    error.headers = {**_forwarded(answer.headers), **error.headers}
    if error.request_id is None:
        error.request_id = _request_id(answer.headers)
    return error


def _secrets(sent: httpx.Request | None) -> list[bytes]:
    values = [sent.headers.get(name) for name in _SECRETS] if sent is not None else []
    return [value.rpartition(" ")[2].encode() for value in values if value]


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Answer headers that clients act on or look at (OpenAI SDKs, Codex)."""
    return {
        name: value
        for name, value in headers.items()
        if name in _FORWARDED or name.startswith(("x-ratelimit-", "anthropic-ratelimit-", "x-codex-"))
    }


def _request_id(headers: Mapping[str, str]) -> str | None:
    for name in ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-goog-request-id", "cf-ray"):
        value = headers.get(name)
        if value:
            return value
    return None


def _failure(failure: Exception, *, begun: bool) -> UpstreamError:
    """An exception of the client libraries in our words."""
    import aiohttp
    import httpx

    match failure:
        case httpx.DecodingError() | zlib.error() | aiohttp.http_exceptions.ContentEncodingError():
            return UpstreamError("The upstream's answer cannot be decompressed.", "server")
        case aiohttp.ConnectionTimeoutError():
            return UpstreamError("No connection to the upstream in time.", "timeout", code=CONNECT_TIMEOUT)
        case httpx.TimeoutException() | TimeoutError():
            return UpstreamError("The upstream did not answer in time.", "timeout")
        case aiohttp.ClientResponseError() | aiohttp.http_exceptions.HttpProcessingError() if not begun:
            return UpstreamError(f"The upstream does not speak HTTP as it should: {_reason(failure)}.", "server")
        case aiohttp.InvalidURL() | httpx.InvalidURL() | aiohttp.ClientConnectorError():
            return UpstreamError(f"No connection to the upstream: {_reason(failure)}.", "connection")
        case aiohttp.ClientError() | httpx.TransportError() | OSError():
            if begun:
                return UpstreamError("The upstream's connection broke before the answer was complete.", "truncated")
            return UpstreamError(f"The upstream's connection broke: {_reason(failure)}.", "connection")
    return UpstreamError(f"The upstream's answer cannot be read ({type(failure).__name__}).", "server")


def _reason(failure: Exception) -> str:
    return str(failure).strip().rstrip(".") or type(failure).__name__


def place(url: str) -> tuple[str, int]:
    """Host and port of a URL, for spans."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
