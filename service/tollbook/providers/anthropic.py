"""Anthropic's own API: https://platform.claude.com/docs/en/api/overview."""

from __future__ import annotations

from collections.abc import Mapping

from tollbook.auth.header import HeaderAuth
from tollbook.config import Deployment
from tollbook.dialects import messages
from tollbook.errors import ConfigError

from . import Endpoint

PROVIDER = "anthropic"
KEY_VARIABLES = ("ANTHROPIC_API_KEY",)

BASE = "https://api.anthropic.com"
VERSION = "2023-06-01"
"""https://platform.claude.com/docs/en/api/versioning"""


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    """`{api_base}/v1/messages`. Raises ConfigError when there is no key."""
    key = deployment.api_key or environment.get(KEY_VARIABLES[0])
    if not key:
        raise ConfigError(
            f"Deployment {deployment.name!r} has no key: set api_key, or {KEY_VARIABLES[0]} in the environment."
        )
    url = f"{_base(deployment, environment)}/v1/messages"
    return Endpoint(
        provider=PROVIDER,
        dialect=messages,
        url=url,
        stream_url=url,
        headers={"anthropic-version": deployment.api_version or VERSION},
        auth=HeaderAuth("x-api-key", key),
        propagate=deployment.propagate_trace,
        auth_scheme="x-api-key",
    )


def _base(deployment: Deployment, environment: Mapping[str, str]) -> str:
    """What stands before `/v1/messages`; a base that already ends in `/v1`, or in all of it, is understood."""
    base = deployment.api_base or environment.get("ANTHROPIC_BASE_URL") or environment.get("ANTHROPIC_API_BASE") or BASE
    return base.rstrip("/").removesuffix("/messages").removesuffix("/v1").rstrip("/")
