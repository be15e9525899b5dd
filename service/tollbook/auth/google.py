"""OAuth tokens of Google Cloud, with google-auth's loaders; no request of ours goes through its sessions.

https://googleapis.dev/python/google-auth/latest/user-guide.html
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import httpx

from tollbook.errors import ConfigError, Kind, UpstreamError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

MARGIN = 240.0
"""Seconds before its expiry from which a token is not used any more. The metadata server gives out tokens that are
renewed only in their last five minutes, so a larger margin would ask it for every request."""


class GoogleAuth(httpx.Auth):
    """Puts a bearer token on each request, and the quota project if the credentials name one.

    `credentials` is a file's path, its JSON text or its object (service account, authorized user, external account);
    None means
    Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the metadata server
    (https://cloud.google.com/docs/authentication/application-default-credentials).

    Loading and refreshing read files and the network, so they happen in a thread, once for all requests that wait. A
    token is kept until MARGIN before its end; one that the API refuses with 401 is replaced once.

    Raises ConfigError when google-auth is not installed, and UpstreamError from a request that cannot have a token.
    """

    def __init__(
        self, credentials: str | Mapping[str, Any] | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        if not _installed():
            raise ConfigError("Google Cloud needs google-auth: pip install 'tollbook[google]'.")
        self._source = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._loaded: Any = None
        self._headers: dict[str, str] = {}
        self._until = 0.0
        self._refreshing: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[dict[str, str]]] = (
            WeakKeyDictionary()
        )

    def __repr__(self) -> str:
        return "GoogleAuth(application default)" if self._source is None else "GoogleAuth(given credentials)"

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        used = await self._fresh()
        request.headers.update(used)
        response = yield request
        if response.status_code == 401:
            self._forget(used)
            request.headers.update(await self._fresh())
            yield request

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        used = self._refreshed()
        request.headers.update(used)
        response = yield request
        if response.status_code == 401:
            self._forget(used)
            request.headers.update(self._refreshed())
            yield request

    async def _fresh(self) -> dict[str, str]:
        if self._clock() < self._until:
            return self._headers
        loop = asyncio.get_running_loop()
        task = self._refreshing.get(loop)
        if task is None or task.done():
            task = self._refreshing[loop] = loop.create_task(asyncio.to_thread(self._refreshed))
            # When everybody who waited was cancelled, nobody else looks at the outcome.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def _forget(self, used: dict[str, str]) -> None:
        with self._lock:
            if self._headers == used:
                self._until = 0.0

    def _refreshed(self) -> dict[str, str]:
        """The headers of a token that is good for a while. Waits for the network; raises UpstreamError."""
        with self._lock:
            if self._clock() < self._until:
                return self._headers
            from google.auth.exceptions import GoogleAuthError, TransportError
            from google.auth.transport.requests import Request

            try:
                if self._loaded is None:
                    self._loaded = _load(self._source)
                self._loaded.refresh(Request())
                headers: dict[str, str] = {}
                self._loaded.apply(headers)
            except TransportError as error:
                raise UpstreamError(f"Google's token server cannot be reached: {error}", "connection") from None
            except GoogleAuthError as error:
                kind: Kind = "overloaded" if error.retryable else "auth"
                raise UpstreamError(f"Google gives no token: {error}", kind) from None
            except OSError as error:
                raise UpstreamError(f"The Google credentials cannot be read: {error.strerror}.", "auth") from None
            except ValueError as error:
                # What the parsers say may quote what they could not read.
                raise UpstreamError(f"The Google credentials are not valid ({type(error).__name__}).", "auth") from None
            expiry = self._loaded.expiry
            self._headers = headers
            self._until = expiry.replace(tzinfo=UTC).timestamp() - MARGIN if expiry is not None else float("inf")
            return headers


def _installed() -> bool:
    try:
        return importlib.util.find_spec("google.auth") is not None and importlib.util.find_spec("requests") is not None
    except ModuleNotFoundError:  # not even the namespace package `google` is there
        return False


def project_of(credentials: Any) -> str | None:
    """The project that a service account belongs to, if it was given as JSON or an object: no file is opened."""
    if isinstance(credentials, str) and credentials.lstrip().startswith("{"):
        try:
            credentials = json.loads(credentials)
        except ValueError:
            return None
    project = credentials.get("project_id") if isinstance(credentials, Mapping) else None
    return project if isinstance(project, str) and project else None


def _load(source: str | Mapping[str, Any] | None) -> Any:
    import google.auth
    from google.oauth2 import credentials, service_account

    # google-auth has no types.
    from_account: Any = service_account.Credentials.from_service_account_info
    from_user: Any = credentials.Credentials.from_authorized_user_info
    from_any: Any = google.auth.load_credentials_from_dict
    if source is None:
        return google.auth.default(scopes=[SCOPE])[0]
    if isinstance(source, Mapping):
        info: Any = dict(source)
    else:
        info = json.loads(source if source.lstrip().startswith("{") else Path(source).expanduser().read_bytes())
    if not isinstance(info, dict):
        raise ValueError("not an object")
    if info.get("type") == "service_account":
        return from_account(info, scopes=[SCOPE])
    if info.get("type") == "authorized_user":
        return from_user(info, scopes=[SCOPE])
    # Warns that such a file may name other programs and servers to ask; here it is the operator's own.
    return from_any(info, scopes=[SCOPE])[0]
