"""Cohere: https://docs.cohere.com/reference/chat."""

from __future__ import annotations

from collections.abc import Mapping

from tollbook.auth.header import bearer
from tollbook.config import Deployment
from tollbook.dialects import cohere

from . import Endpoint
from .place import base_of, key_needed, key_of, under

PROVIDER = "cohere"
KEY_VARIABLES = ("COHERE_API_KEY", "CO_API_KEY")
BASE = "https://api.cohere.com"


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    """`{api_base}/v2/chat`; a base that ends in a version is understood."""
    given = deployment.api_base or environment.get("COHERE_API_BASE") or environment.get("CO_API_URL")
    base = base_of(given or BASE)
    base = base.removesuffix("/v1").removesuffix("/v2")
    key = (
        key_of(deployment, environment, KEY_VARIABLES) if given else key_needed(deployment, environment, KEY_VARIABLES)
    )
    url = under(base, "/v2/chat")
    return Endpoint(
        provider=PROVIDER,
        dialect=cohere,
        url=url,
        stream_url=url,
        auth=bearer(key) if key else None,
        propagate=deployment.propagate_trace,
        auth_scheme="bearer" if key else "none",
    )
