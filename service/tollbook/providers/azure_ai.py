"""Azure AI Foundry: models of many makers behind one resource, and serverless deployments with a host of their own.

https://learn.microsoft.com/azure/foundry/foundry-models/concepts/endpoints: `{resource}.services.ai.azure.com` has
`/openai/v1` (OpenAI's paths), `/models` (the model inference API, with an api-version) and `/anthropic` (Claude).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from tollbook.config import Deployment
from tollbook.dialects import Dialect, chat, messages, responses
from tollbook.errors import ConfigError

from . import Endpoint
from .azure import credentials
from .place import base_of, under

PROVIDER = "azure_ai"
KEY_VARIABLES = ("AZURE_AI_API_KEY",)
VERSION = "2024-05-01-preview"
"""Of the model inference API."""

_HOST = chat.Chat(chat.Manner(host="Azure AI"))
_ANTHROPIC = re.compile(r"/anthropic(?:/|$)")
_OPENAI = re.compile(r"/openai(?:/|$)")


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    given = deployment.api_base or environment.get("AZURE_AI_API_BASE")
    if not given:
        raise ConfigError(f"Deployment {deployment.name!r} (azure_ai) needs api_base or AZURE_AI_API_BASE.")
    base = base_of(given)
    headers: dict[str, str] = {}
    dialect: Dialect
    if deployment.model.startswith("claude") or _ANTHROPIC.search(base):
        url, dialect, stored = _ANTHROPIC.split(base)[0] + "/anthropic/v1/messages", messages, ""
        headers["anthropic-version"] = "2023-06-01"
        key_header = "x-api-key"
    else:
        key_header = "api-key"
        if deployment.options.get("use_responses_api") and not deployment.use_chat_completions_api:
            url, dialect = _responses(base), responses
            stored = url
        else:
            url, dialect, stored = _completions(base, deployment.api_version), _chat(base), ""
    auth, scheme = credentials(deployment, environment, KEY_VARIABLES, key_header)
    return Endpoint(
        provider=PROVIDER,
        dialect=dialect,
        url=url,
        stream_url=url,
        headers=headers,
        auth=auth,
        stored_url=stored,
        propagate=deployment.propagate_trace,
        auth_scheme=scheme,
    )


def _chat(base: str) -> Dialect:
    """`/openai/v1` speaks as OpenAI does, the model inference API as hosts of open models do."""
    if _OPENAI.search(base):
        return chat
    return _HOST


def _responses(base: str) -> str:
    return under(base if _OPENAI.search(base) else base + "/openai/v1", "/responses")


def _completions(base: str, version: str | None) -> str:
    base, _, query = base.partition("?")
    base, parts = base.rstrip("/"), urlsplit(base)
    if _OPENAI.search(parts.path) or parts.path.endswith("/v1"):
        return under(base, "/chat/completions")
    if (parts.hostname or "").endswith((".models.ai.azure.com", ".inference.ai.azure.com")):
        # A serverless deployment is one model: https://learn.microsoft.com/azure/machine-learning/how-to-deploy-models-serverless
        return under(base, "/v1/chat/completions")
    query = query or f"api-version={quote(version or VERSION)}"
    return under(base if parts.path.endswith("/chat/completions") else under(base, "/models"), "/chat/completions") + (
        f"?{query}"
    )
