"""Vertex AI: Gemini in Gemini's language, Claude in Anthropic's, other partners in OpenAI's.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference,
https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai and
https://cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tollbook.auth.google import GoogleAuth, project_of
from tollbook.auth.header import HeaderAuth, bearer
from tollbook.config import Deployment
from tollbook.dialects import Dialect, chat, gemini, messages
from tollbook.errors import ConfigError

from . import Endpoint

if TYPE_CHECKING:
    import httpx

PROVIDER = "vertex_ai"
KEY_VARIABLES: tuple[str, ...] = ("GOOGLE_APPLICATION_CREDENTIALS",)

VERSION = "v1"
CLAUDE_VERSION = "vertex-2023-10-16"
_VERSIONED = re.compile(r"/v1(beta\d*)?$")
_PUBLISHED = re.compile(r"(?:publishers/)?(?P<publisher>google|anthropic)/(?:models/)?(?P<model>.+)")


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    """`{api_base}/v1/projects/{project}/locations/{location}/...`; with an api_key alone, Vertex in express mode, which
    has no project. Raises ConfigError naming what is missing."""
    publisher, model = _published(deployment.model)
    auth, scheme = _auth(deployment, environment)
    base = _base(deployment, environment, express=scheme == "x-goog-api-key")
    place = f"{base}/publishers/{publisher}/models/{quote(model, safe='@')}"
    plain, streamed = ":generateContent", ":streamGenerateContent?alt=sse"
    dialect: Dialect = gemini
    adjust: Callable[[dict[str, Any]], dict[str, Any]] | None = _gemini
    if publisher == "openapi":
        place, plain, streamed = f"{base}/endpoints/openapi/chat/completions", "", ""
        dialect, adjust = chat, None
    elif publisher == "anthropic":
        plain, streamed = ":rawPredict", ":streamRawPredict"
        dialect, adjust = messages, _claude
    elif model.isdigit():  # a tuned model is called at the endpoint that it was deployed to
        place = f"{base}/endpoints/{model}"
    return Endpoint(
        provider=PROVIDER,
        dialect=dialect,
        url=place + plain,
        stream_url=place + streamed,
        headers=dict(deployment.extra_headers),
        auth=auth,
        adjust=adjust,
        propagate=deployment.propagate_trace,
        auth_scheme=scheme,
    )


def _published(model: str) -> tuple[str, str]:
    """Publisher and model: "claude-..." is Anthropic's, a name with another publisher goes to the OpenAI endpoint."""
    found = _PUBLISHED.fullmatch(model)
    if found:
        return found["publisher"], found["model"]
    if model.startswith("claude"):
        return "anthropic", model
    return ("openapi" if "/" in model else "google"), model


def _base(deployment: Deployment, environment: Mapping[str, str], *, express: bool) -> str:
    options = deployment.options
    location = _first(options.get("vertex_location"), environment, "VERTEXAI_LOCATION", "GOOGLE_CLOUD_LOCATION")
    project = _first(options.get("vertex_project"), environment, "VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT")
    project = project or project_of(options.get("vertex_credentials"))
    missing = [] if project else ["vertex_project (or VERTEXAI_PROJECT)"]
    if not location:
        missing.append("vertex_location (or VERTEXAI_LOCATION)")
    if missing and not express:
        raise ConfigError(f"Deployment {deployment.name!r} on Vertex AI needs {' and '.join(missing)}.")
    given = _first(deployment.api_base, environment, "VERTEXAI_API_BASE", "GOOGLE_VERTEX_BASE_URL")
    root = (given or _host(location or "global")).rstrip("/")
    if not _VERSIONED.search(root):
        root += "/" + (deployment.api_version or VERSION)
    return root if missing else f"{root}/projects/{project}/locations/{location}"


def _host(location: str) -> str:
    """https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations: regions, multi-regions and global."""
    apart = {"global": "aiplatform", "us": "aiplatform.us.rep", "eu": "aiplatform.eu.rep"}
    return f"https://{apart.get(location, f'{location}-aiplatform')}.googleapis.com"


def _auth(deployment: Deployment, environment: Mapping[str, str]) -> tuple[httpx.Auth, str]:
    options = deployment.options
    token = options.get("vertex_access_token") or options.get("access_token")
    if token:
        return bearer(str(token)), "bearer"
    if deployment.api_key:
        return HeaderAuth("x-goog-api-key", deployment.api_key), "x-goog-api-key"
    return GoogleAuth(options.get("vertex_credentials") or environment.get(KEY_VARIABLES[0]) or None), "google"


def _first(option: Any, environment: Mapping[str, str], *names: str) -> str | None:
    return str(option) if option else next((environment[name] for name in names if environment.get(name)), None)


def _claude(body: dict[str, Any]) -> dict[str, Any]:
    """The model is in the address, and the version in the body."""
    return {"anthropic_version": CLAUDE_VERSION, **{name: value for name, value in body.items() if name != "model"}}


def _gemini(body: dict[str, Any]) -> dict[str, Any]:
    """Only AI Studio knows `includeServerSideToolInvocations`; Vertex combines tools without it."""
    config = {n: v for n, v in (body.get("toolConfig") or {}).items() if n != "includeServerSideToolInvocations"}
    rest = {n: v for n, v in body.items() if n != "toolConfig"}
    return {**rest, "toolConfig": config} if config else rest
