"""OpenAI itself: https://platform.openai.com/docs/api-reference."""

from __future__ import annotations

from collections.abc import Mapping

from tollbook.auth.header import bearer
from tollbook.config import Deployment
from tollbook.dialects import chat, responses

from . import Endpoint
from .place import base_of, key_needed, key_of, under

PROVIDER = "openai"
KEY_VARIABLES = ("OPENAI_API_KEY",)
BASE = "https://api.openai.com/v1"
_BASE_VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_BASE")


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    """Responses, or Chat Completions with `use_chat_completions_api`. A host of one's own may need no key."""
    given = deployment.api_base or next((environment[n] for n in _BASE_VARIABLES if environment.get(n)), None)
    base = base_of(given or BASE, "/v1")
    key = (
        key_of(deployment, environment, KEY_VARIABLES) if given else key_needed(deployment, environment, KEY_VARIABLES)
    )
    organization = deployment.organization or environment.get("OPENAI_ORG_ID")
    project = deployment.options.get("project") or environment.get("OPENAI_PROJECT_ID")
    headers = {"openai-organization": organization, "openai-project": project}
    talks = deployment.use_chat_completions_api
    url = under(base, "/chat/completions" if talks else "/responses")
    return Endpoint(
        provider=PROVIDER,
        dialect=chat if talks else responses,
        url=url,
        stream_url=url,
        headers={name: str(value) for name, value in headers.items() if value},
        auth=bearer(key) if key else None,
        stored_url="" if talks else url,
        propagate=deployment.propagate_trace,
        auth_scheme="bearer" if key else "none",
    )
