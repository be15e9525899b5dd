"""Azure OpenAI: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle and .../how-to/responses.

The v1 API has OpenAI's own paths below `/openai/v1`; dated versions say `api-version`, and Chat Completions names the
deployment in the path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from tollbook.config import Deployment
from tollbook.dialects import chat, responses
from tollbook.errors import ConfigError

from . import Endpoint
from .place import base_of, key_of

if TYPE_CHECKING:
    import httpx

PROVIDER = "azure"
KEY_VARIABLES = ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
_BASE_VARIABLES = ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT")
_VERSION_VARIABLES = ("AZURE_API_VERSION", "OPENAI_API_VERSION")
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
        dialect=chat if talks else responses,
        url=url,
        stream_url=url,
        auth=auth,
        stored_url="" if talks else url,
        auth_scheme=scheme,
    )


def _url(given: str, version: str, model: str, talks: bool) -> str:
    """The whole address. A base that already goes on with `/openai...` keeps what it says, a query included."""
    base, _, query = base_of(given).partition("?")
    base = base.rstrip("/")
    head, found, tail = base.partition("/openai")
    path = "/chat/completions" if talks else "/responses"
    if "/deployments/" in tail:
        # A deployment's address serves Chat Completions only; Responses stand beside it.
        base = f"{head}/openai/deployments/{tail.split('/deployments/')[1].split('/')[0]}" if talks else f"{head}/openai"
    elif tail.startswith("/v1") or (not tail and version in _V1):
        base, version = f"{head}/openai/v1", "preview" if version == "preview" else ""
    elif talks:
        base = f"{head}/openai/deployments/{quote(model, safe='')}"
    else:
        base = f"{head}/openai"
    query = query or (f"api-version={quote(version)}" if version else "")
    return f"{base}{path}?{query}" if query else base + path


def credentials(
    deployment: Deployment, environment: Mapping[str, str], variables: tuple[str, ...], key_header: str = "api-key"
) -> tuple[httpx.Auth, str]:
    """How to authenticate at Azure, and its name: a key, a token that was given, or Entra ID.

    With a key or a token it goes out as it is; with `tenant_id`, `client_id` and `client_secret` as that service
    principal; otherwise as whatever identity the machine has.
    """
    from tollbook.auth.header import bearer, header

    options = deployment.options
    token = options.get("azure_ad_token") or environment.get("AZURE_AD_TOKEN")
    names = ("tenant_id", "client_id", "client_secret")
    principal = [options.get(n) or environment.get(f"AZURE_{n.upper()}") for n in names]
    if deployment.api_key:
        return header(key_header, deployment.api_key), key_header
    if options.get("azure_ad_token"):
        return bearer(str(token)), "bearer"
    missing = [n for n, value in zip(names, principal, strict=True) if not value]
    if any(options.get(n) for n in names) and missing:
        raise ConfigError(f"Deployment {deployment.name!r} ({deployment.provider}): {', '.join(missing)} is missing.")
    key = key_of(deployment, environment, variables)
    if key and not any(options.get(n) for n in names):
        return header(key_header, key), key_header
    if token and not any(options.get(n) for n in names):
        return bearer(str(token)), "bearer"

    from tollbook.auth.entra import SCOPE, EntraAuth, default_credential, secret_credential

    make = default_credential() if missing else secret_credential(*(str(value) for value in principal))
    return EntraAuth(make, str(options.get("azure_scope") or SCOPE)), "entra"
