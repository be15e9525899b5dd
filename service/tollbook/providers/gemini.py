"""Gemini with a key of AI Studio: https://ai.google.dev/gemini-api/docs/api-key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from tollbook.auth.header import HeaderAuth
from tollbook.config import Deployment
from tollbook.dialects import gemini

from . import Endpoint
from .place import key_needed

PROVIDER = "gemini"
KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")

BASE = "https://generativelanguage.googleapis.com"
_BASE_VARIABLES = ("GEMINI_API_BASE", "GOOGLE_GEMINI_BASE_URL")
VERSION = "v1beta"
_VERSIONED = re.compile(r"/v1(beta|alpha)?\d*$")


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    """`{api_base}/v1beta/models/{model}:generateContent`; a base that ends in a version keeps it. Raises ConfigError
    when there is no key."""
    key = key_needed(deployment, environment, KEY_VARIABLES)
    given = deployment.api_base or next((environment[n] for n in _BASE_VARIABLES if environment.get(n)), BASE)
    base = given.rstrip("/")
    if not _VERSIONED.search(base):
        base += "/" + (deployment.api_version or VERSION)
    # Tuned models have a collection of their own: tunedModels/...
    name = deployment.model if "/" in deployment.model else f"models/{deployment.model}"
    url = f"{base}/{quote(name)}"
    return Endpoint(
        provider=PROVIDER,
        dialect=gemini,
        url=f"{url}:generateContent",
        stream_url=f"{url}:streamGenerateContent?alt=sse",
        headers=dict(deployment.extra_headers),
        auth=HeaderAuth("x-goog-api-key", key),
        propagate=deployment.propagate_trace,
        auth_scheme="x-goog-api-key",
    )
