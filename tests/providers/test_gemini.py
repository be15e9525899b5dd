"""Where Gemini and Vertex AI live, and how a request gets its token there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tollbook.auth.google import MARGIN, GoogleAuth
from tollbook.config import Deployment
from tollbook.dialects import chat, messages
from tollbook.dialects import gemini as language
from tollbook.errors import ConfigError, UpstreamError
from tollbook.providers import gemini, vertex

PLACE = {"vertex_project": "p1", "vertex_location": "us-east5", "vertex_access_token": "t0ken"}


def at_gemini(**fields: Any) -> Deployment:
    return Deployment(id="d1", name="g", provider="gemini", **{"model": "gemini-2.5-flash", **fields})


def at_vertex(model: str = "gemini-2.5-flash", **fields: Any) -> Deployment:
    return Deployment(id="d1", name="v", provider="vertex_ai", model=model, **{"options": PLACE, **fields})


def sent(auth: httpx.Auth | None) -> httpx.Headers:
    """The headers of a request that `auth` has seen."""
    assert auth is not None
    return next(auth.sync_auth_flow(httpx.Request("POST", "https://example.com"))).headers


# --------------------------------------------------------------------------------------------------------------- gemini


@pytest.mark.parametrize(
    ("api_base", "url"),
    [
        (None, "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"),
        ("http://localhost:1/rec-1", "http://localhost:1/rec-1/v1beta/models/gemini-2.5-flash"),
        ("http://localhost:1/rec-1/v1beta/", "http://localhost:1/rec-1/v1beta/models/gemini-2.5-flash"),
        ("http://localhost:1/v1alpha", "http://localhost:1/v1alpha/models/gemini-2.5-flash"),
    ],
)
def test_gemini_has_its_version_once(api_base: str | None, url: str) -> None:
    endpoint = gemini.endpoint(at_gemini(api_base=api_base, api_key="k"), {})

    assert endpoint.url == f"{url}:generateContent"
    assert endpoint.stream_url == f"{url}:streamGenerateContent?alt=sse"
    assert endpoint.dialect is language


def test_gemini_takes_its_key_from_the_deployment_and_then_from_the_environment() -> None:
    both = {"GOOGLE_API_KEY": "second", "GEMINI_API_KEY": "first"}

    assert sent(gemini.endpoint(at_gemini(api_key="own"), both).auth)["x-goog-api-key"] == "own"
    assert sent(gemini.endpoint(at_gemini(), both).auth)["x-goog-api-key"] == "first"
    assert sent(gemini.endpoint(at_gemini(), {"GOOGLE_API_KEY": "second"}).auth)["x-goog-api-key"] == "second"


def test_gemini_without_a_key_names_what_may_be_set() -> None:
    with pytest.raises(ConfigError, match=r"GEMINI_API_KEY.*GOOGLE_API_KEY"):
        gemini.endpoint(at_gemini(), {})


def test_a_tuned_model_has_its_own_collection() -> None:
    assert "/v1beta/tunedModels/mine:" in gemini.endpoint(at_gemini(model="tunedModels/mine", api_key="k"), {}).url


# --------------------------------------------------------------------------------------------------------------- vertex


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_vertex_lives_where_its_location_says(location: str, host: str) -> None:
    endpoint = vertex.endpoint(at_vertex(options={**PLACE, "vertex_location": location}), {})

    path = f"/v1/projects/p1/locations/{location}/publishers/google/models/gemini-2.5-flash"
    assert endpoint.url == f"https://{host}{path}:generateContent"
    assert endpoint.stream_url == f"https://{host}{path}:streamGenerateContent?alt=sse"


def test_claude_on_vertex_speaks_anthropics_language_with_a_version_for_its_model() -> None:
    for model in ("claude-sonnet-4@20250514", "publishers/anthropic/models/claude-sonnet-4@20250514"):
        endpoint = vertex.endpoint(at_vertex(model, api_base="http://localhost:1"), {})

        base = (
            "http://localhost:1/v1/projects/p1/locations/us-east5/publishers/anthropic/models/claude-sonnet-4@20250514"
        )
        assert (endpoint.url, endpoint.stream_url) == (f"{base}:rawPredict", f"{base}:streamRawPredict")
        assert endpoint.dialect is messages
        assert endpoint.adjust is not None
        assert endpoint.adjust({"model": model, "max_tokens": 1}) == {
            "anthropic_version": "vertex-2023-10-16",
            "max_tokens": 1,
        }


def test_other_partners_speak_openais_language() -> None:
    endpoint = vertex.endpoint(at_vertex("meta/llama-4-scout"), {})

    assert endpoint.url.endswith("/v1/projects/p1/locations/us-east5/endpoints/openapi/chat/completions")
    assert endpoint.dialect is chat


def test_a_tuned_model_is_called_at_its_endpoint() -> None:
    assert vertex.endpoint(at_vertex("123456"), {}).url.endswith("/locations/us-east5/endpoints/123456:generateContent")


def test_vertex_is_not_told_what_only_ai_studio_knows() -> None:
    adjust = vertex.endpoint(at_vertex(), {}).adjust
    mode = {"functionCallingConfig": {"mode": "ANY"}}

    assert adjust is not None
    assert adjust({"toolConfig": {**mode, "includeServerSideToolInvocations": True}}) == {"toolConfig": mode}
    assert adjust({"contents": [], "toolConfig": {"includeServerSideToolInvocations": True}}) == {"contents": []}


def test_project_and_location_may_come_from_the_environment_or_the_credentials() -> None:
    environment = {"GOOGLE_CLOUD_PROJECT": "p2", "VERTEXAI_LOCATION": "eu"}
    account = {"vertex_credentials": {"type": "service_account", "project_id": "p3"}, "vertex_location": "eu"}

    assert "/projects/p2/locations/eu/" in vertex.endpoint(at_vertex(options={"access_token": "t"}), environment).url
    assert "/projects/p3/locations/eu/" in vertex.endpoint(at_vertex(options=account), {}).url


def test_vertex_names_all_that_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"vertex_project.*VERTEXAI_PROJECT.*vertex_location.*VERTEXAI_LOCATION"):
        vertex.endpoint(at_vertex(options={}), {})


def test_vertex_in_express_mode_has_a_key_and_no_project() -> None:
    endpoint = vertex.endpoint(at_vertex(options={}, api_key="k"), {})

    assert (
        endpoint.url == "https://aiplatform.googleapis.com/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    )
    assert sent(endpoint.auth)["x-goog-api-key"] == "k"


def test_a_given_token_is_used_as_it_is() -> None:
    endpoint = vertex.endpoint(at_vertex(), {})

    assert sent(endpoint.auth)["authorization"] == "Bearer t0ken"
    assert "t0ken" not in repr(endpoint)


# --------------------------------------------------------------------------------------------------------------- tokens


class TokenServer(BaseHTTPRequestHandler):
    """Gives a new token for each signed request, and an API that refuses the tokens it is told to."""

    server: Tokens

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/api":
            refused = self.headers["authorization"] in self.server.refused
            return self._answer(401 if refused else 200, {"seen": self.headers["authorization"]})
        self.server.given += 1
        if self.server.broken:
            return self._answer(400, {"error": "invalid_grant", "error_description": "Account not found"})
        return self._answer(200, {"access_token": f"token-{self.server.given}", "expires_in": 3600})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


class Tokens(ThreadingHTTPServer):
    given = 0
    broken = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), TokenServer)
        self.refused: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    with Tokens() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


@pytest.fixture
def account(tokens: Tokens, private_key: str) -> str:
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "books@p1.iam.gserviceaccount.com",
            "private_key": private_key,
            "token_uri": f"{tokens.url}/token",
            "project_id": "p1",
        }
    )


async def ask(auth: httpx.Auth, url: str, times: int = 1) -> list[httpx.Response]:
    async with httpx.AsyncClient(auth=auth) as client:
        return await asyncio.gather(*(client.post(f"{url}/api") for _ in range(times)))


async def test_many_requests_share_one_token(tokens: Tokens, account: str) -> None:
    answers = await ask(GoogleAuth(account), tokens.url, times=20)

    assert {answer.json()["seen"] for answer in answers} == {"Bearer token-1"}
    assert tokens.given == 1


async def test_credentials_may_be_a_file(tokens: Tokens, account: str, tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text(account)

    (answer,) = await ask(GoogleAuth(str(tmp_path / "account.json")), tokens.url)

    assert answer.json() == {"seen": "Bearer token-1"}


async def test_a_token_is_replaced_shortly_before_it_ends(tokens: Tokens, account: str) -> None:
    import time

    late = 0.0
    auth = GoogleAuth(account, clock=lambda: time.time() + late)
    await ask(auth, tokens.url)
    late = 3600 - MARGIN - 60
    (before,) = await ask(auth, tokens.url)
    late = 3600 - MARGIN + 60
    (after,) = await ask(auth, tokens.url)

    assert (before.json()["seen"], after.json()["seen"]) == ("Bearer token-1", "Bearer token-2")


async def test_a_refused_token_is_replaced_once(tokens: Tokens, account: str) -> None:
    tokens.refused = {"Bearer token-1"}
    auth = GoogleAuth(account)

    (answer,) = await ask(auth, tokens.url)
    tokens.refused = {"Bearer token-2", "Bearer token-3"}
    (refused,) = await ask(auth, tokens.url)

    assert answer.json() == {"seen": "Bearer token-2"}
    assert refused.status_code == 401


async def test_refused_credentials_are_an_auth_error_without_the_key(
    tokens: Tokens, account: str, private_key: str
) -> None:
    tokens.broken = True

    with pytest.raises(UpstreamError, match="Account not found") as raised:
        await ask(GoogleAuth(account), tokens.url)

    assert raised.value.kind == "auth"
    assert private_key[40:60] not in raised.value.message


@pytest.mark.parametrize(
    "credentials", ["/no/such/file.json", '{"type": "service_account", "private_key": "s3cret"}', "{"]
)
async def test_unusable_credentials_are_an_auth_error(credentials: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        await ask(GoogleAuth(credentials), "http://127.0.0.1:9")

    assert raised.value.kind == "auth"
    assert "s3cret" not in raised.value.message + repr(GoogleAuth(credentials))


async def test_an_unreachable_token_server_is_a_connection_error(account: str) -> None:
    nowhere = json.dumps({**json.loads(account), "token_uri": "http://127.0.0.1:9/token"})

    with pytest.raises(UpstreamError) as raised:
        await ask(GoogleAuth(nowhere), "http://127.0.0.1:9")

    assert raised.value.kind == "connection"


def test_code_without_a_loop_gets_its_token_too(tokens: Tokens, account: str) -> None:
    with httpx.Client(auth=GoogleAuth(account)) as client:
        assert client.post(f"{tokens.url}/api").json() == {"seen": "Bearer token-1"}
