"""Microsoft Entra ID: bearer tokens from azure-identity, fetched off the event loop and kept until shortly before they end.

https://learn.microsoft.com/azure/developer/python/sdk/authentication/overview
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from tollbook.errors import ConfigError, UpstreamError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

SCOPE = "https://cognitiveservices.azure.com/.default"
"""What a token for Azure OpenAI and Azure AI must be good for."""

_MARGIN = 300
"""Seconds before its end at which a token is replaced."""


class Credential(Protocol):
    """What azure-identity's credentials offer."""

    def get_token(self, *scopes: str) -> AccessToken: ...


class EntraAuth(httpx.Auth):
    """A bearer token of `credential`, made at the first request: `make` may load azure-identity.

    At most one refresh runs at a time; it runs in a thread, because azure-identity's credentials block (they ask the
    metadata service, a command-line tool or the login server). Raises UpstreamError("auth") when no token can be had.
    """

    def __init__(self, make: Callable[[], Credential], scope: str = SCOPE) -> None:
        self._make = make
        self._scope = scope
        self._credential: Credential | None = None
        self._token: AccessToken | None = None
        self._refreshing = threading.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = self._token if self._fresh() else await asyncio.to_thread(self._refresh)
        assert token is not None
        request.headers["authorization"] = f"Bearer {token.token}"
        yield request

    def _fresh(self) -> bool:
        return self._token is not None and self._token.expires_on - time.time() > _MARGIN

    def _refresh(self) -> AccessToken | None:
        """A fresh token; one thread asks, the others wait for it. Event loops cannot share a lock of asyncio's."""
        with self._refreshing:
            if not self._fresh():
                self._token = self._fetch()
            return self._token

    def _fetch(self) -> AccessToken:
        try:
            if self._credential is None:
                self._credential = self._make()
            return self._credential.get_token(self._scope)
        except ConfigError:
            raise
        except Exception as error:
            # azure-identity's errors name the credentials that were tried, not their secrets.
            raise UpstreamError(f"No Entra ID token: {error}", "auth") from error

    def __repr__(self) -> str:
        return f"EntraAuth({self._scope!r})"


def secret_credential(tenant_id: str, client_id: str, client_secret: str) -> Callable[[], Credential]:
    """A service principal with a secret."""

    def make() -> Credential:
        credential: Credential = _identity().ClientSecretCredential(tenant_id, client_id, client_secret)
        return credential

    return make


def default_credential() -> Callable[[], Credential]:
    """Whatever the machine has: environment, workload or managed identity, `az login`."""

    def make() -> Credential:
        credential: Credential = _identity().DefaultAzureCredential()
        return credential

    return make


def _identity() -> Any:
    try:
        from azure import identity
    except ImportError:
        raise ConfigError('Entra ID needs azure-identity: pip install "tollbook[azure]".') from None
    return identity
