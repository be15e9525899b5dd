"""A secret in a header: `Authorization: Bearer ...`, `api-key`, `x-api-key`."""

from __future__ import annotations

from collections.abc import Generator

import httpx


class HeaderAuth(httpx.Auth):
    """Sends `value` in the header `name`."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._name] = self._value
        yield request

    def __repr__(self) -> str:
        return f"HeaderAuth({self._name!r})"


def bearer(token: str) -> HeaderAuth:
    """RFC 6750: `Authorization: Bearer <token>`."""
    return HeaderAuth("authorization", f"Bearer {token}")
