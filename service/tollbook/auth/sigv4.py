"""AWS Signature Version 4, with botocore's signer and its chain of credentials; no request of ours goes through botocore.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import asyncio
import importlib.util
import math
import threading
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx

from tollbook.errors import ConfigError, UpstreamError

FRESH = 60.0
"""Seconds for which credentials are not asked for again. botocore renews them ten minutes before they expire."""

# The others may be changed on the way, and a changed header that was signed is a broken signature.
_SIGNED = ("host", "content-type")


class SigV4Auth(httpx.Auth):
    """Signs each request for one region and service.

    With an access key and a secret (and a session token, if they are temporary) these are used; otherwise botocore's
    chain is asked: environment, profile and its roles, container, instance. That may read files and the network, so it
    happens in a thread, and what it found is kept for FRESH seconds.

    Raises ConfigError when botocore is not installed, and UpstreamError("auth") from a request when the chain is empty.
    """

    requires_request_body = True

    def __init__(
        self,
        region: str,
        service: str,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        token: str | None = None,
        profile: str | None = None,
    ) -> None:
        if importlib.util.find_spec("botocore") is None:
            raise ConfigError("Signing for AWS needs botocore: pip install 'tollbook[aws]'.")
        self._region = region
        self._service = service
        self._given = (access_key, secret_key, token) if access_key and secret_key else None
        self._profile = profile
        self._lock = threading.Lock()
        self._chain: Any = None
        self._found: Any = None
        self._until = 0.0

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.read()
        self._sign(request, self._credentials())
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await request.aread()
        known = time.monotonic() < self._until
        self._sign(request, self._found if known else await asyncio.to_thread(self._credentials))
        yield request

    def _credentials(self) -> Any:
        """Credentials that are good for a while; also loads botocore, which takes longer than a loop should wait."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._found = self._resolved()
                self._until = math.inf if self._given else time.monotonic() + FRESH
            return self._found

    def _resolved(self) -> Any:
        import botocore.auth  # type: ignore[import-untyped]  # noqa: F401 - so that signing finds it loaded
        from botocore.credentials import Credentials  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
        from botocore.session import Session  # type: ignore[import-untyped]

        if self._given is not None:
            return Credentials(*self._given)
        try:
            if self._chain is None:
                self._chain = Session(profile=self._profile).get_credentials()
            if self._chain is not None:
                return self._chain.get_frozen_credentials()
        except BotoCoreError as error:
            raise UpstreamError(f"AWS credentials could not be read: {error}", "auth") from error
        raise UpstreamError(
            "No AWS credentials: neither keys nor a profile, a container role or an instance role.", "auth"
        )

    def _sign(self, request: httpx.Request, credentials: Any) -> None:
        from botocore.auth import SigV4Auth as Signer
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

        headers = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        signed = AWSRequest(request.method, str(request.url), headers=headers, data=request.content)
        Signer(credentials, self._service, self._region).add_auth(signed)
        for name in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token"):
            if name in signed.headers:
                request.headers[name] = signed.headers[name]
