"""A secret in a header: `Authorization: Bearer ...`, `api-key`, `x-api-key`."""

from __future__ import annotations

from collections.abc import Generator

import httpx


class HeaderAuth(httpx.Auth):
    """Sends `secret` in the header `name`, after `prefix`."""

    def __init__(self, secret: str, name: str = "authorization", prefix: str = "Bearer ") -> None:
        self._value = prefix + secret
        self._name = name

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._name] = self._value
        yield request

    def __repr__(self) -> str:
        return f"HeaderAuth({self._name!r})"


def bearer(secret: str) -> HeaderAuth:
    """RFC 6750: `Authorization: Bearer <secret>`."""
    return HeaderAuth(secret)


def header(name: str, secret: str) -> HeaderAuth:
    """A header that holds the key and nothing else."""
    return HeaderAuth(secret, name, "")
