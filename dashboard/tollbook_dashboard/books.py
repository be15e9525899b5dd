"""Asks a gateway for its calls: `GET /v1/calls`, page by page, newest first."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

_PAGE = 1000
_TIMEOUT = 10.0
"""Seconds of silence."""


class Unreachable(Exception):
    """No gateway answers there, or not as one; the message says how it failed."""


class Refused(Exception):
    """The gateway does not accept the key, or wants one; the message is the gateway's own."""


class Calls(NamedTuple):
    """Calls, newest first. `more` tells that there are older ones within the time asked for."""

    found: list[dict[str, Any]]
    more: bool


def read_calls(url: str, key: str, *, since: str = "", most: int = 5_000) -> Calls:
    """The newest calls, at most `most`, started at `since` (RFC 3339 in UTC, "" for all) or later.

    Raises Unreachable or Refused.
    """
    found: list[dict[str, Any]] = []
    place = urlsplit(url)
    try:
        kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
        with closing(kind(place.hostname or "", place.port, timeout=_TIMEOUT)) as connection:
            while len(found) < most:
                query = {"limit": str(min(_PAGE, most - len(found)))} | ({"before": found[-1]["id"]} if found else {})
                page = _page(connection, f"{place.path.rstrip('/')}/v1/calls?{urlencode(query)}", key)
                fresh = [call for call in page["data"] if call["started"] >= since]
                found += fresh
                if not page["has_more"] or len(fresh) < len(page["data"]):
                    return Calls(found, more=False)
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise Unreachable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    return Calls(found, more=True)


def _page(connection: HTTPConnection, path: str, key: str) -> Any:
    headers = {"accept": "application/json"}
    if key:
        # A key holds nothing but ASCII; what does not is wrong, and the gateway says so.
        headers["authorization"] = "Bearer " + key.encode("ascii", "replace").decode().strip()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    if answer.status in (401, 403):
        raise Refused(str(body["error"]["message"]))
    if answer.status != 200:
        raise Unreachable(f"it answered with status {answer.status}")
    return body
