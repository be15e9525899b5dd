"""Pictures and files that a request names by URL, fetched for targets that take bytes only.

A client chooses the URL, so the gateway must not become its door into the network it stands in: only http and https, only
public addresses - checked when the name is resolved, and those are the addresses connected to, so that a second answer
of the name server changes nothing -, at most three redirects, each checked again, with limits of size and time
(OWASP, Server-Side Request Forgery Prevention Cheat Sheet).
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from .errors import InvalidRequest, TollbookError
from .responses import request as requests
from .responses.types import Item, Part, Request

if TYPE_CHECKING:
    import aiohttp

LARGEST = 20 * 1024 * 1024
"""Bytes of one attachment."""

LONGEST = 20.0
"""Seconds for one attachment, redirects included."""

MOST = 20
"""Attachments of one request that are fetched."""

REDIRECTS = 3

_FIELDS = {"input_image": "image_url", "input_file": "file_url"}


async def inline(
    request: Request,
    kinds: frozenset[str],
    *,
    keeps: Callable[[str], bool] | None = None,
    allow_private: bool = False,
) -> Request:
    """The request with every http(s) URL of these part types replaced by its content. Unchanged if there is none.

    `keeps` tells URLs that the target reads itself. `allow_private` lets addresses of the own network through, for a
    deployment whose clients are trusted. Raises InvalidRequest naming the part, with code `invalid_image_url` or
    `invalid_file_url`, for what cannot be had.
    """
    items = requests.items(request)
    wanted = [(n, part) for n, item in enumerate(items) for part in _parts(item) if _url(part, kinds, keeps)]
    if not wanted:
        return request
    if len(wanted) > MOST:
        raise InvalidRequest(f"At most {MOST} attachments by URL are fetched for one request.", param="input")
    urls = list(dict.fromkeys(str(_url(part, kinds)) for _, part in wanted))
    async with _session(allow_private) as session, asyncio.TaskGroup() as group:
        fetches = {url: group.create_task(_fetched(session, url, allow_private)) for url in urls}
    contents: dict[str, tuple[str, bytes]] = {}
    for number, part in wanted:
        url = str(_url(part, kinds))
        outcome = fetches[url].result()
        if isinstance(outcome, TollbookError):
            field = _FIELDS[part["type"]]
            raise InvalidRequest(
                f"input[{number}].{field} cannot be used: {outcome.message}",
                param=f"input[{number}]",
                code=f"invalid_{field}",
            )
        contents[url] = outcome
    return {**request, "input": [_replaced(item, kinds, contents) for item in items]}


def _parts(item: Item) -> list[Part]:
    for name in ("content", "output"):
        if isinstance(item.get(name), list):
            return [part for part in item[name] if isinstance(part, dict)]
    return []


def _url(part: Part, kinds: frozenset[str], keeps: Callable[[str], bool] | None = None) -> str | None:
    if part.get("type") not in kinds:
        return None
    url = part.get(_FIELDS[part["type"]])
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return None
    return None if keeps is not None and keeps(url) else url


def _replaced(item: Item, kinds: frozenset[str], contents: dict[str, tuple[str, bytes]]) -> Item:
    for name in ("content", "output"):
        if isinstance(item.get(name), list):
            return {**item, name: [_inlined(part, kinds, contents) for part in item[name]]}
    return item


def _inlined(part: Any, kinds: frozenset[str], contents: dict[str, tuple[str, bytes]]) -> Any:
    url = _url(part, kinds) if isinstance(part, dict) else None
    if url is None or url not in contents:
        return part
    kind, content = contents[url]
    data = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    if part["type"] == "input_image":
        return {**part, "image_url": data}
    name = part.get("filename") or unquote(urlsplit(url).path.rpartition("/")[2]) or "file"
    return {
        "type": "input_file",
        **{k: v for k, v in part.items() if k != "file_url"},
        "filename": name,
        "file_data": data,
    }


def _session(allow_private: bool) -> aiohttp.ClientSession:
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Public(AbstractResolver):
        """Resolves names to public addresses only."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
            addresses = [(family, address[0]) for family, _, _, _, address in found]
            if not allow_private:
                for _, address in addresses:
                    check_address(str(address))
            return [
                ResolveResult(
                    hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
                )
                for family, address in addresses
            ]

        async def close(self) -> None:
            """Nothing is held."""

    connector = aiohttp.TCPConnector(resolver=Public(), use_dns_cache=False, limit=8, force_close=True)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=LONGEST),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        headers={"user-agent": "tollbook"},
    )


def check_address(address: str) -> None:
    """Raises InvalidRequest for an address that is not on the public internet: private, loopback, link-local (cloud
    metadata among them), shared, multicast, reserved, and IPv4 ones of these written as IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    teredo = getattr(found, "teredo", None)
    inner = [found, *([mapped] if mapped else []), *(teredo or ())]
    if isinstance(found, ipaddress.IPv6Address) and found in _NAT64:
        inner.append(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
    if any(not one.is_global or one.is_multicast for one in inner):
        raise InvalidRequest("its address is not on the public internet.")


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6, RFC 6052."""


async def _fetched(session: aiohttp.ClientSession, url: str, allow_private: bool) -> tuple[str, bytes] | TollbookError:
    """Media type and content, or why not."""
    import aiohttp

    try:
        async with asyncio.timeout(LONGEST):
            return await _fetch(session, url, allow_private)
    except TollbookError as error:
        return error
    except TimeoutError:
        return InvalidRequest(f"it did not come within {LONGEST:g} s.")
    except (aiohttp.ClientError, OSError, ValueError) as failure:
        cause: BaseException | None = failure
        while cause is not None and not isinstance(cause, TollbookError):
            cause = cause.__cause__ or cause.__context__
        return cause or InvalidRequest(f"it cannot be fetched ({type(failure).__name__}).")


async def _fetch(session: aiohttp.ClientSession, url: str, allow_private: bool) -> tuple[str, bytes]:
    for _ in range(REDIRECTS + 1):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequest("only http and https are fetched.")
        if parts.username or parts.password:
            raise InvalidRequest("it must not hold credentials.")
        if not allow_private and _literal(parts.hostname):
            check_address(parts.hostname)
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status in (301, 302, 303, 307, 308):
                url = urljoin(url, answer.headers.get("location", ""))
                continue
            if answer.status != 200:
                raise InvalidRequest(f"its server answered {answer.status}.")
            content = bytearray()
            async for piece in answer.content.iter_chunked(64 * 1024):
                content += piece
                if len(content) > LARGEST:
                    raise InvalidRequest(f"it is larger than {LARGEST} bytes.")
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            return kind or "application/octet-stream", bytes(content)
    raise InvalidRequest(f"it redirects more than {REDIRECTS} times.")


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
