"""Places that speak OpenAI's language: addresses, keys, dialects. OpenAI, Azure, Azure AI, Cohere and the long tail."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

import httpx
import pytest

from tollbook.auth.entra import EntraAuth
from tollbook.auth.header import HeaderAuth, bearer
from tollbook.config import Deployment
from tollbook.dialects import chat, messages, responses
from tollbook.errors import ConfigError, UpstreamError
from tollbook.providers import azure, azure_ai, cohere, compatible, openai
from tollbook.providers.hosts import HOSTS


def deployment(model: str, **fields: Any) -> Deployment:
    provider, _, name = model.partition("/")
    return Deployment(id="d", name="public", provider=provider, model=name, **fields)


async def headers(auth: httpx.Auth | None) -> dict[str, str]:
    """What this scheme adds to a request."""
    assert auth is not None
    request = httpx.Request("POST", "https://host.invalid/")
    async for sent in auth.async_auth_flow(request):
        request = sent
        break
    return {
        name: request.headers[name] for name in ("authorization", "api-key", "x-api-key") if name in request.headers
    }


# ------------------------------------------------------------------------------------------------------------- OpenAI


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (None, "https://api.openai.com/v1/responses"),
        ("https://host", "https://host/v1/responses"),
        ("https://host/", "https://host/v1/responses"),
        ("https://host/v1/", "https://host/v1/responses"),
        ("https://host/v1/v1", "https://host/v1/responses"),
        ("https://host/x", "https://host/x/responses"),
        ("https://host/x/v2", "https://host/x/v2/responses"),
        ("host.example", "https://host.example/v1/responses"),
        ("https://host/v1/responses", "https://host/v1/responses"),
    ],
)
def test_openai_base_as_people_write_it(base: str | None, expected: str) -> None:
    endpoint = openai.endpoint(deployment("openai/gpt-5", api_base=base, api_key="k"), {})

    assert endpoint.url == endpoint.stream_url == endpoint.stored_url == expected
    assert endpoint.dialect is responses


def test_openai_speaks_chat_when_told_and_then_keeps_nothing() -> None:
    endpoint = openai.endpoint(deployment("openai/gpt-5", use_chat_completions_api=True), {"OPENAI_API_KEY": "k"})

    assert endpoint.url == "https://api.openai.com/v1/chat/completions"
    assert endpoint.dialect is chat
    assert endpoint.stored_url == ""


def test_openai_environment_and_headers() -> None:
    environment = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://h/v1", "OPENAI_PROJECT_ID": "p"}

    endpoint = openai.endpoint(deployment("openai/gpt-5", organization="o"), environment)

    assert endpoint.url == "http://h/v1/responses"
    assert endpoint.headers == {"openai-organization": "o", "openai-project": "p"}
    assert endpoint.auth_scheme == "bearer"


def test_a_missing_key_is_named_but_a_host_of_ones_own_needs_none() -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        openai.endpoint(deployment("openai/gpt-5"), {})

    assert openai.endpoint(deployment("openai/gpt-5", api_base="http://localhost:8000/v1"), {}).auth is None


# -------------------------------------------------------------------------------------------------------------- Azure

AZURE = "https://x.openai.azure.com"


@pytest.mark.parametrize(
    ("base", "version", "talks", "expected"),
    [
        (AZURE, None, False, "/openai/v1/responses"),
        (AZURE, "latest", False, "/openai/v1/responses"),
        (AZURE, "preview", False, "/openai/v1/responses?api-version=preview"),
        (AZURE, "2024-06-01", False, "/openai/responses?api-version=2024-06-01"),
        (AZURE, None, True, "/openai/v1/chat/completions"),
        (
            AZURE,
            "2024-12-01-preview",
            True,
            "/openai/deployments/my%20gpt/chat/completions?api-version=2024-12-01-preview",
        ),
        (AZURE + "/openai", "2025-03-01-preview", False, "/openai/responses?api-version=2025-03-01-preview"),
        (AZURE + "/openai/v1/", "2024-06-01", False, "/openai/v1/responses"),
        (AZURE + "/openai/v1/responses", None, False, "/openai/v1/responses"),
        (
            AZURE + "/openai/deployments/g/chat/completions?api-version=1",
            None,
            True,
            "/openai/deployments/g/chat/completions?api-version=1",
        ),
        (
            AZURE + "/openai/deployments/g",
            "2025-03-01-preview",
            False,
            "/openai/responses?api-version=2025-03-01-preview",
        ),
    ],
)
def test_azure_addresses(base: str, version: str | None, talks: bool, expected: str) -> None:
    place = deployment("azure/my gpt", api_base=base, api_version=version, api_key="k", use_chat_completions_api=talks)

    endpoint = azure.endpoint(place, {})

    assert endpoint.url == AZURE + expected
    assert endpoint.stored_url == ("" if talks else AZURE + expected)


def test_azure_resource_whose_name_begins_like_the_path() -> None:
    endpoint = azure.endpoint(deployment("azure/g", api_base="https://openai-7.openai.azure.com", api_key="k"), {})

    assert endpoint.url == "https://openai-7.openai.azure.com/openai/v1/responses"


def test_old_versions_of_azure_know_neither_newer_limit_nor_stream_options() -> None:
    place = deployment("azure/g", api_base=AZURE, api_version="2024-02-01", api_key="k", use_chat_completions_api=True)

    body = azure.endpoint(place, {}).dialect.write({"input": "Hi", "stream": True, "max_output_tokens": 9}, "g").body

    assert body["max_tokens"] == 9
    assert "stream_options" not in body


@pytest.mark.parametrize(
    ("fields", "environment", "scheme", "sent"),
    [
        ({"api_key": "k"}, {}, "api-key", {"api-key": "k"}),
        ({}, {"AZURE_API_KEY": "e"}, "api-key", {"api-key": "e"}),
        ({"options": {"azure_ad_token": "t"}}, {"AZURE_API_KEY": "e"}, "bearer", {"authorization": "Bearer t"}),
        ({}, {"AZURE_AD_TOKEN": "t"}, "bearer", {"authorization": "Bearer t"}),
    ],
)
async def test_azure_keys_and_tokens(fields: Any, environment: Any, scheme: str, sent: dict[str, str]) -> None:
    endpoint = azure.endpoint(deployment("azure/g", api_base=AZURE, **fields), environment)

    assert endpoint.auth_scheme == scheme
    assert await headers(endpoint.auth) == sent


def test_azure_principal_must_be_whole_and_without_anything_the_machine_is_asked() -> None:
    half = {"tenant_id": "t", "client_id": "c"}

    with pytest.raises(ConfigError, match="client_secret"):
        azure.endpoint(deployment("azure/g", api_base=AZURE, options=half), {})
    whole = azure.endpoint(deployment("azure/g", api_base=AZURE, options=half), {"AZURE_CLIENT_SECRET": "s"})
    assert (whole.auth_scheme, azure.endpoint(deployment("azure/g", api_base=AZURE), {}).auth_scheme) == (
        "entra",
        "entra",
    )
    with pytest.raises(ConfigError, match="AZURE_API_BASE"):
        azure.endpoint(deployment("azure/g"), {})


# ----------------------------------------------------------------------------------------------------------- Azure AI

FOUNDRY = "https://x.services.ai.azure.com"


@pytest.mark.parametrize(
    ("model", "base", "expected"),
    [
        ("grok-4", FOUNDRY, FOUNDRY + "/models/chat/completions?api-version=2024-05-01-preview"),
        ("grok-4", FOUNDRY + "/models", FOUNDRY + "/models/chat/completions?api-version=2024-05-01-preview"),
        (
            "grok-4",
            FOUNDRY + "/models/chat/completions?api-version=1",
            FOUNDRY + "/models/chat/completions?api-version=1",
        ),
        ("gpt-5", FOUNDRY + "/openai/v1", FOUNDRY + "/openai/v1/chat/completions"),
        ("llama", "https://l.eastus2.models.ai.azure.com", "https://l.eastus2.models.ai.azure.com/v1/chat/completions"),
        (
            "llama",
            "https://l.eastus.inference.ai.azure.com/v1",
            "https://l.eastus.inference.ai.azure.com/v1/chat/completions",
        ),
        ("claude-sonnet-4-5", FOUNDRY, FOUNDRY + "/anthropic/v1/messages"),
        ("claude-sonnet-4-5", FOUNDRY + "/anthropic", FOUNDRY + "/anthropic/v1/messages"),
    ],
)
def test_azure_ai_addresses(model: str, base: str, expected: str) -> None:
    endpoint = azure_ai.endpoint(deployment(f"azure_ai/{model}", api_base=base, api_key="k"), {})

    assert endpoint.url == expected
    claude = model.startswith("claude")
    assert endpoint.auth_scheme == ("x-api-key" if claude else "api-key")
    assert (endpoint.dialect is messages) == claude


def test_azure_ai_speaks_responses_when_told() -> None:
    place = deployment("azure_ai/gpt-5", api_base=FOUNDRY, api_key="k", options={"use_responses_api": True})

    endpoint = azure_ai.endpoint(place, {})

    assert endpoint.url == endpoint.stored_url == FOUNDRY + "/openai/v1/responses"
    assert endpoint.dialect is responses


# ------------------------------------------------------------------------------------------------------------- Cohere


@pytest.mark.parametrize(
    "base", [None, "https://api.cohere.com", "https://api.cohere.com/v2/", "https://api.cohere.com/v1"]
)
def test_cohere_address(base: str | None) -> None:
    endpoint = cohere.endpoint(deployment("cohere/command-a", api_base=base), {"CO_API_KEY": "k"})

    assert endpoint.url == "https://api.cohere.com/v2/chat"


# ------------------------------------------------------------------------------------------------------ the long tail


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_every_row_is_a_place(name: str) -> None:
    host = HOSTS[name]
    environment = dict.fromkeys(("DATABRICKS_HOST", "SNOWFLAKE_ACCOUNT", "CLOUDFLARE_ACCOUNT_ID", "AWS_REGION"), "a")
    base = None if host.base else "http://127.0.0.1:1/v1"

    endpoint = compatible.endpoint(deployment(f"{name}/m", api_key="k", api_base=base), environment)

    assert endpoint.url.startswith(("https://", "http://localhost", "http://127.0.0.1"))
    assert endpoint.url.endswith("/responses" if host.native else "/chat/completions")
    assert "{" not in endpoint.url
    written = endpoint.dialect.write({"input": "Hi", "max_output_tokens": 5}, "m")
    assert written.body["model"] == "m"


@pytest.mark.parametrize(
    ("model", "fields", "environment", "url"),
    [
        ("groq/m", {"api_key": "k"}, {}, "https://api.groq.com/openai/v1/chat/completions"),
        ("groq/m", {"api_base": "http://h:1"}, {}, "http://h:1/openai/v1/chat/completions"),
        ("groq/m", {"api_base": "http://h:1/id/v1"}, {}, "http://h:1/id/v1/chat/completions"),
        ("groq/m", {}, {"GROQ_API_BASE": "http://h:1/v1"}, "http://h:1/v1/chat/completions"),
        ("deepseek/m", {"api_base": "http://h:1"}, {}, "http://h:1/chat/completions"),
        ("hosted_vllm/m", {"api_base": "http://h:1"}, {}, "http://h:1/v1/chat/completions"),
        ("openai_like/m", {"api_base": "http://h:1/v1/"}, {}, "http://h:1/v1/chat/completions"),
        ("xai/m", {"api_key": "k"}, {}, "https://api.x.ai/v1/responses"),
        ("xai/m", {"api_key": "k", "use_chat_completions_api": True}, {}, "https://api.x.ai/v1/chat/completions"),
        (
            "openrouter/m",
            {"api_key": "k", "options": {"use_responses_api": True}},
            {},
            "https://openrouter.ai/api/v1/responses",
        ),
        ("ollama/m", {}, {}, "http://localhost:11434/v1/chat/completions"),
        (
            "databricks/m",
            {},
            {"DATABRICKS_HOST": "https://d.net/", "DATABRICKS_TOKEN": "k"},
            "https://d.net/serving-endpoints/chat/completions",
        ),
        (
            "snowflake/m",
            {"api_key": "k"},
            {"SNOWFLAKE_ACCOUNT": "a"},
            "https://a.snowflakecomputing.com/api/v2/cortex/v1/chat/completions",
        ),
        ("together/m", {}, {"TOGETHERAI_API_KEY": "k"}, "https://api.together.xyz/v1/chat/completions"),
    ],
)
def test_addresses_of_the_long_tail(model: str, fields: Any, environment: Any, url: str) -> None:
    assert compatible.endpoint(deployment(model, **fields), environment).url == url


@pytest.mark.parametrize(
    ("model", "named"),
    [("groq/m", "GROQ_API_KEY"), ("hosted_vllm/m", "api_base"), ("cloudflare/m", "CLOUDFLARE_ACCOUNT_ID")],
)
def test_what_is_missing_is_named(model: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        compatible.endpoint(deployment(model), {})


def test_a_new_host_needs_configuration_only() -> None:
    own = {"manner": {"max_tokens": "max_output", "host": "Mine", "passes": ["top_z"]}}
    place = deployment("openai_like/m", api_base="http://h/v1", options=own)

    body = compatible.endpoint(place, {}).dialect.write({"input": "Hi", "max_output_tokens": 5, "top_z": 1}, "m").body

    assert (body["max_output"], body["top_z"]) == (5, 1)
    with pytest.raises(ConfigError, match=r"options\.manner"):
        compatible.endpoint(deployment("openai_like/m", api_base="http://h", options={"manner": {"nope": 1}}), {})


def test_names_are_known() -> None:
    assert compatible.knows("groq")
    assert compatible.knows("together")
    assert not compatible.knows("nobody")
    assert {"groq", "together"} <= set(compatible.names())


# -------------------------------------------------------------------------------------------------------------- auth


def test_secrets_stay_out_of_representations() -> None:
    assert "s3cret" not in repr(bearer("s3cret")) + repr(HeaderAuth("api-key", "s3cret"))


class Token(NamedTuple):
    token: str
    expires_on: int


class Clerk:
    """A credential that counts how often it is asked, and can be out of office."""

    def __init__(self, *lifetimes: float) -> None:
        self.lifetimes = list(lifetimes)
        self.asked = 0

    def get_token(self, *scopes: str) -> Any:
        self.asked += 1
        time.sleep(0.01)
        if not self.lifetimes:
            raise RuntimeError("nobody is here")
        return Token(f"token {self.asked}", int(time.time() + self.lifetimes.pop(0)))


async def test_entra_token_is_fetched_once_for_many_requests() -> None:
    clerk = Clerk(3600)
    auth = EntraAuth(lambda: clerk)

    sent = await asyncio.gather(*(headers(auth) for _ in range(5)))

    assert clerk.asked == 1
    assert sent == [{"authorization": "Bearer token 1"}] * 5


async def test_entra_token_is_replaced_shortly_before_its_end() -> None:
    clerk = Clerk(200, 3600)
    auth = EntraAuth(lambda: clerk)

    first, second, third = [await headers(auth) for _ in range(3)]

    assert first["authorization"] == "Bearer token 1"
    assert second == third == {"authorization": "Bearer token 2"}


async def test_no_entra_token_is_an_error_of_authentication() -> None:
    auth = EntraAuth(Clerk)

    with pytest.raises(UpstreamError, match="nobody is here") as refused:
        await headers(auth)
    assert refused.value.kind == "auth"
