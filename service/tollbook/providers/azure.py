"""Azure OpenAI: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle and .../how-to/responses.

The v1 API has OpenAI's own paths below `/openai/v1`; dated versions say `api-version`, and Chat Completions names the
deployment in the path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from tollbook.auth.entra import SCOPE, EntraAuth, default_credential, secret_credential
from tollbook.auth.header import HeaderAuth, bearer
from tollbook.config import Deployment
from tollbook.dialects import Dialect, chat, responses
from tollbook.errors import ConfigError

from . import Endpoint
from .place import base_of, key_of

if TYPE_CHECKING:
    import httpx

PROVIDER = "azure"
KEY_VARIABLES = ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
_BASE_VARIABLES = ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT")
_VERSION_VARIABLES = ("AZURE_API_VERSION", "OPENAI_API_VERSION")
_RESPONSES_SINCE = "2025-03-01"  # https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses
_OPENAI = re.compile(r"/openai(?:/|$)")
_V1 = frozenset({"", "v1", "latest", "preview"})


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    given = deployment.api_base or next((environment[n] for n in _BASE_VARIABLES if environment.get(n)), None)
    if given is None:
        raise ConfigError(f"Deployment {deployment.name!r} (azure) needs api_base or AZURE_API_BASE.")
    version = deployment.api_version or next((environment[n] for n in _VERSION_VARIABLES if environment.get(n)), "")
    talks = deployment.use_chat_completions_api
    url = _url(given, version, deployment.model, talks)
    auth, scheme = credentials(deployment, environment, KEY_VARIABLES)
    return Endpoint(
        provider=PROVIDER,
        dialect=_dialect(version) if talks else responses,
        url=url,
        stream_url=url,
        auth=auth,
        stored_url="" if talks else url,
        propagate=deployment.propagate_trace,
        auth_scheme=scheme,
    )


def remark(endpoint: Endpoint) -> str:
    """What a person should know before relying on this endpoint; "" when there is nothing."""
    dated = re.search(r"api-version=(\d{4}-\d\d-\d\d)", endpoint.url)
    if endpoint.dialect is not responses or dated is None or dated[1] >= _RESPONSES_SINCE:
        return ""
    return f"no Responses API before api-version {_RESPONSES_SINCE}-preview: leave it out, or use_chat_completions_api: true"


def _url(given: str, version: str, model: str, talks: bool) -> str:
    """The whole address. A base that already goes on with `/openai...` keeps what it says, a query included."""
    base, _, query = base_of(given).partition("?")
    head, *rest = _OPENAI.split(base.rstrip("/"), maxsplit=1)
    tail = rest[0] if rest else ""
    if "deployments/" in tail and talks:
        base = f"{head}/openai/deployments/{tail.split('deployments/')[1].split('/')[0]}"
    elif tail.startswith("v1") or (not tail and version in _V1):
        base, version = f"{head}/openai/v1", "preview" if version == "preview" else ""
    elif talks:
        base = f"{head}/openai/deployments/{quote(model, safe='')}"
    else:  # also below a deployment's address, which serves Chat Completions only: Responses stand beside it
        base = f"{head}/openai"
    query = query or (f"api-version={quote(version)}" if version else "")
    path = "/chat/completions" if talks else "/responses"
    return f"{base}{path}?{query}" if query else base + path


def _dialect(version: str) -> Dialect:
    """Chat Completions as the version knows it.

    2024-09-01-preview brought `max_completion_tokens` and `stream_options`
    (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-deprecation).
    """
    if version[:4].isdigit() and version < "2024-09":
        return chat.Chat(replace(chat.OPENAI, max_tokens="max_tokens", stream_options=False, developer=False))
    return chat


def credentials(
    deployment: Deployment, environment: Mapping[str, str], variables: tuple[str, ...], key_header: str = "api-key"
) -> tuple[httpx.Auth, str]:
    """How to authenticate at Azure, and its name.

    What the deployment says comes first - a key, a token, a service principal - then a key or a token of the
    environment, and at last the identity of the machine (which also looks for AZURE_TENANT_ID and the like).
    """
    options = deployment.options
    principal = {name: options.get(name) for name in ("tenant_id", "client_id", "client_secret")}
    if deployment.api_key:
        return HeaderAuth(key_header, deployment.api_key), key_header
    if options.get("azure_ad_token"):
        return bearer(str(options["azure_ad_token"])), "bearer"
    scope = str(options.get("azure_scope") or SCOPE)
    if any(principal.values()):
        found = {name: value or environment.get(f"AZURE_{name.upper()}") for name, value in principal.items()}
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise ConfigError(f"Deployment {deployment.name!r} ({deployment.provider}) needs {', '.join(missing)}.")
        return EntraAuth(secret_credential(**{name: str(value) for name, value in found.items()}), scope), "entra"
    key = key_of(deployment, environment, variables)
    if key:
        return HeaderAuth(key_header, key), key_header
    if environment.get("AZURE_AD_TOKEN"):
        return bearer(environment["AZURE_AD_TOKEN"]), "bearer"
    return EntraAuth(default_credential(), scope), "entra"
