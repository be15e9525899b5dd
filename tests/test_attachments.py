"""What a client names by URL is fetched for it - from the public internet only, within limits, and never in silence."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tollbook import attachments
from tollbook.attachments import check_address, inline
from tollbook.errors import InvalidRequest

BOTH = frozenset({"input_image", "input_file"})
PIXEL = b"\x89PNG\r\n\x1a\n-not really"

Script = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def web(script: Script) -> AsyncIterator[tuple[str, list[str]]]:
    """A loopback web server that does as it is told; its address, and the paths that were asked for."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b" ")[1].decode())
        try:
            await script(asked[-1], writer)
            await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def _pixel(path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png; q=1\r\nconnection: close\r\n\r\n" + PIXEL)


def image(url: str) -> dict[str, Any]:
    part = {"type": "input_image", "image_url": url, "detail": "low"}
    return {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "see"}, part]}]}


async def refusal(request: dict[str, Any], **options: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        await inline(request, BOTH, **options)
    return refused.value


# ── Where nothing is fetched from ───────────────────────────────────────────────────────────────────────────────────────

PRIVATE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2002:a9fe:a9fe::", "2001:0:a9fe:a9fe::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_an_own_network_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match="not on the public internet"):
        check_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_is_let_through(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "0",
     "localhost.", "LOCALHOST", "[fe80::1%25lo]", "169.254.169.254"],
)  # fmt: skip
async def test_no_spelling_of_an_own_address_reaches_it(host: str) -> None:
    async with web(_pixel) as (base, asked):
        port = base.rpartition(":")[2]

        refused = await refusal(image(f"http://{host}:{port}/x.png"))

    assert refused.code == "invalid_image_url"
    assert refused.param == "input[0]"
    assert asked == []


async def test_a_name_is_checked_by_the_address_that_is_connected_to() -> None:
    """The machine's own name leads to an own address."""
    async with web(_pixel) as (base, asked):
        await refusal(image(f"http://{socket.gethostname()}:{base.rpartition(':')[2]}/"))

    assert asked == []


async def test_a_redirect_into_the_own_network_is_not_followed() -> None:
    """With private addresses allowed, to show that redirects are followed; then to what is never allowed."""

    async def leads(path: str, writer: asyncio.StreamWriter) -> None:
        target = {"/file": "file:///etc/passwd", "/ftp": "ftp://127.0.0.1/", "/user": "http://a:b@127.0.0.1/"}[path]
        writer.write(f"HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n".encode())

    async with web(leads) as (base, asked):
        for path, words in (("/file", "only http"), ("/ftp", "only http"), ("/user", "credentials")):
            assert words in (await refusal(image(base + path), allow_private=True)).message

    assert asked == ["/file", "/ftp", "/user"]


@pytest.mark.parametrize(
    "url", ["http://user:pass@example.com/x", "http://", "https://[::1", "http://exa mple/", "http://127.0.0.1:99999/"]
)
async def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    assert (await refusal(image(url))).code == "invalid_image_url"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://x", "data:image/png;base64,AAAA", "x.png", "", "//host/x"]
)
async def test_what_is_no_web_address_is_left_to_the_target(url: str) -> None:
    request = image(url)

    assert await inline(request, BOTH) is request


# ── What is fetched ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_image_becomes_its_content() -> None:
    async with web(_pixel) as (base, _):
        request = image(f"{base}/x.png")
        before = repr(request)

        fetched = await inline(request, BOTH, allow_private=True)

    part = fetched["input"][0]["content"][1]
    assert part == {
        "type": "input_image",
        "image_url": f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}",
        "detail": "low",
    }
    assert repr(request) == before


async def test_a_file_gets_the_name_that_its_url_ends_in() -> None:
    async with web(_pixel) as (base, _):
        parts = [
            {"type": "input_file", "file_url": f"{base}/a%20b.pdf?x=1"},
            {"type": "input_file", "file_url": f"{base}/", "filename": "mine.pdf"},
        ]
        output = {"type": "function_call_output", "call_id": "c", "output": parts}

        fetched = await inline({"model": "m", "input": [output]}, BOTH, allow_private=True)

    names = [part["filename"] for part in fetched["input"][0]["output"]]
    assert names == ["a b.pdf", "mine.pdf"]
    assert all("file_url" not in part for part in fetched["input"][0]["output"])
    assert all(part["file_data"].startswith("data:image/png;base64,") for part in fetched["input"][0]["output"])


async def test_one_url_is_fetched_once() -> None:
    async with web(_pixel) as (base, asked):
        request = image(f"{base}/x.png")
        request["input"] *= 3

        await inline(request, BOTH, allow_private=True)

    assert asked == ["/x.png"]


async def test_only_the_kinds_that_the_target_cannot_fetch_itself_are_fetched() -> None:
    async with web(_pixel) as (base, asked):
        request = image(f"{base}/x.png")

        assert await inline(request, frozenset({"input_file"}), allow_private=True) is request
        assert await inline(request, BOTH, keeps=lambda url: url.endswith(".png"), allow_private=True) is request

    assert asked == []


async def test_a_few_redirects_are_followed() -> None:
    async def leads(path: str, writer: asyncio.StreamWriter) -> None:
        left = int(path[1:])
        if left:
            writer.write(f"HTTP/1.1 307 Go\r\nlocation: {left - 1}\r\ncontent-length: 0\r\n\r\n".encode())
        else:
            await _pixel(path, writer)

    async with web(leads) as (base, _):
        fetched = await inline(image(f"{base}/3"), BOTH, allow_private=True)
        refused = await refusal(image(f"{base}/4"), allow_private=True)

    assert fetched["input"][0]["content"][1]["image_url"].startswith("data:")
    assert "redirects more than 3 times" in refused.message


# ── Limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_endless_file_is_given_up_at_the_limit() -> None:
    async def endless(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\nconnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 1_000_000)
            await writer.drain()

    async with web(endless) as (base, _):
        refused = await refusal(image(f"{base}/x"), allow_private=True)

    assert str(attachments.LARGEST) in refused.message


async def test_a_compressed_bomb_is_given_up_at_the_limit() -> None:
    import gzip

    bomb = gzip.compress(b"\0" * (attachments.LARGEST + 2_000_000))

    async def bombs(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n" + bomb)

    async with web(bombs) as (base, _):
        refused = await refusal(image(f"{base}/x"), allow_private=True)

    assert str(attachments.LARGEST) in refused.message


async def test_too_many_attachments_are_refused_before_any_is_fetched() -> None:
    async with web(_pixel) as (base, asked):
        request = image(f"{base}/x.png")
        request["input"] *= attachments.MOST + 1

        await refusal(request, allow_private=True)

    assert asked == []


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", b"rubbish\r\n\r\n", b"HTTP/1.1 304 Same\r\n\r\n",
     b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 302 Found\r\nlocation: http://[bad\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nrubbish"],
)  # fmt: skip
async def test_a_broken_server_is_the_clients_error_and_names_the_part(answer: bytes) -> None:
    async def broken(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with web(broken) as (base, _):
        refused = await refusal(image(f"{base}/x"), allow_private=True)

    assert refused.status == 400
    assert refused.code == "invalid_image_url"
    assert "input[0].image_url" in refused.message


async def test_one_bad_attachment_does_not_leave_the_others_running() -> None:
    async def some(path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/good":
            await _pixel(path, writer)

    async with web(some) as (base, _):
        request = image(f"{base}/good")
        request["input"] += image(f"{base}/bad")["input"]

        refused = await refusal(request, allow_private=True)

    assert refused.param == "input[1]"
    assert len(asyncio.all_tasks()) <= 1
