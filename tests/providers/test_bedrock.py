"""Where Bedrock's deployments live, and that what is signed is what arrives."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import httpx_aiohttp
import pytest

from tollbook.auth.sigv4 import SigV4Auth
from tollbook.config import Deployment
from tollbook.dialects import chat, converse, responses
from tollbook.dialects.converse import invoke
from tollbook.errors import ConfigError, UpstreamError
from tollbook.providers import bedrock

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/ab12cd34"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
HERE = {**KEYS, "AWS_REGION": "us-east-1"}


def deployment(model: str, **fields: Any) -> Deployment:
    return Deployment(id="one", name="smart", provider="bedrock", model=model, **fields)


@pytest.mark.parametrize(
    ("model", "url"),
    [
        (CLAUDE, f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{CLAUDE}/converse"),
        (f"converse/{CLAUDE}", f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{CLAUDE}/converse"),
        ("us-west-2/meta.llama", "https://bedrock-runtime.us-west-2.amazonaws.com/model/meta.llama/converse"),
        ("converse/eu-central-1/m.n", "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m.n/converse"),
        (
            PROFILE,
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/"
            "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile%2Fab12cd34/converse",
        ),
    ],
)
def test_every_model_is_reached_through_converse(model: str, url: str) -> None:
    endpoint = bedrock.endpoint(deployment(model), HERE)

    assert endpoint.url == url
    assert endpoint.stream_url == url + "-stream"
    assert endpoint.dialect is converse
    assert endpoint.framing == "eventstream"
    assert endpoint.auth_scheme == "sigv4"


def test_claude_is_also_reached_through_invoke_model() -> None:
    endpoint = bedrock.endpoint(deployment(f"invoke/{CLAUDE}"), HERE)

    assert endpoint.url.endswith(f"/model/{CLAUDE}/invoke")
    assert endpoint.stream_url.endswith(f"/model/{CLAUDE}/invoke-with-response-stream")
    assert endpoint.dialect is invoke
    assert endpoint.framing == "eventstream"


def test_other_models_have_no_invoke_model() -> None:
    with pytest.raises(ConfigError, match="converse/ for every model"):
        bedrock.endpoint(deployment("invoke/amazon.titan-text-express-v1"), HERE)


@pytest.mark.parametrize(
    ("model", "url", "dialect"),
    [
        ("responses/openai.gpt-oss-120b", "https://bedrock-mantle.us-east-1.api.aws/v1/responses", responses),
        ("openai/openai.gpt-5.6-luna", "https://bedrock-mantle.us-east-1.api.aws/openai/v1/responses", responses),
        ("chat/mistral.voxtral-mini-3b", "https://bedrock-mantle.us-east-1.api.aws/v1/chat/completions", chat),
    ],
)
def test_openais_own_api_is_another_endpoint(model: str, url: str, dialect: Any) -> None:
    endpoint = bedrock.endpoint(deployment(model), HERE)

    assert (endpoint.url, endpoint.dialect, endpoint.framing) == (url, dialect, "sse")
    assert endpoint.stored_url == (url if dialect is responses else "")
    assert endpoint.adjust is not None
    assert endpoint.adjust({"model": model})["model"] == model.partition("/")[2]


@pytest.mark.parametrize(
    "fields",
    [{"api_base": "http://127.0.0.1:9/x/"}, {"options": {"aws_bedrock_runtime_endpoint": "http://127.0.0.1:9/x"}}],
)
def test_a_base_of_ones_own_stands_before_bedrocks_path(fields: dict[str, Any]) -> None:
    endpoint = bedrock.endpoint(deployment(CLAUDE, **fields), HERE)

    assert endpoint.url == f"http://127.0.0.1:9/x/model/{CLAUDE}/converse"


def test_the_deployments_region_goes_before_the_environments() -> None:
    for variable in ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"):
        endpoint = bedrock.endpoint(deployment(CLAUDE), {**KEYS, variable: "eu-west-3"})
        assert "bedrock-runtime.eu-west-3." in endpoint.url
    endpoint = bedrock.endpoint(deployment(CLAUDE, options={"aws_region_name": "ap-south-1"}), HERE)
    assert "bedrock-runtime.ap-south-1." in endpoint.url


@pytest.mark.parametrize(
    ("fields", "environment", "message"),
    [
        ({}, KEYS, "aws_region_name"),
        ({"api_base": "http://127.0.0.1:9"}, KEYS, "aws_region_name"),
        ({"options": {"aws_access_key_id": "A"}}, HERE, "one is missing"),
        ({"options": {"aws_role_name": "arn:aws:iam::1:role/r"}}, HERE, "aws_profile_name"),
    ],
)
def test_what_is_missing_is_named(fields: dict[str, Any], environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        bedrock.endpoint(deployment(CLAUDE, **fields), environment)
    assert "'smart'" in refused.value.message


def test_without_botocore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)

    with pytest.raises(ConfigError, match=r"tollbook\[aws\]"):
        bedrock.endpoint(deployment(CLAUDE), HERE)


@pytest.mark.parametrize(
    ("fields", "environment"),
    [({"api_key": "bedrock-api-key-1"}, HERE), ({}, {**HERE, "AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-1"})],
)
async def test_a_bedrock_api_key_is_a_bearer_token(fields: dict[str, Any], environment: dict[str, str]) -> None:
    endpoint = bedrock.endpoint(deployment(CLAUDE, **fields), environment)
    request = httpx.Request("POST", endpoint.url, content=b"{}")

    assert endpoint.auth is not None
    await anext(endpoint.auth.async_auth_flow(request))

    assert endpoint.auth_scheme == "bearer"
    assert request.headers["authorization"] == "Bearer bedrock-api-key-1"


def test_keys_of_the_deployment_go_before_a_bearer_token_of_the_environment() -> None:
    options = {"aws_access_key_id": "A", "aws_secret_access_key": "B"}

    endpoint = bedrock.endpoint(deployment(CLAUDE, options=options), {**HERE, "AWS_BEARER_TOKEN_BEDROCK": "x"})

    assert endpoint.auth_scheme == "sigv4"


# ------------------------------------------------------------------------------------------------------- signatures


def signature_of(target: str, headers: dict[str, str], body: bytes, secret: str) -> str:
    """The signature by the steps of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html."""
    told = headers["authorization"]
    fields = dict(part.split("=", 1) for part in told.partition(" ")[2].split(", "))
    _, date, region, service, _ = fields["Credential"].split("/")
    # The path is encoded once more than it was sent; that is so for every service but S3.
    path = "".join(c if c.isalnum() or c in "/-._~" else f"%{ord(c):02X}" for c in target)
    names = fields["SignedHeaders"].split(";")
    canonical = "\n".join(
        ["POST", path, "", *(f"{n}:{headers[n]}" for n in names), "", ";".join(names), hashlib.sha256(body).hexdigest()]
    )
    scope = f"{date}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + secret.encode()
    for word in (date, region, service, "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Listener:
    """Keeps the bytes of the last request as they came over the wire."""

    url = ""
    target = ""
    headers: dict[str, str]
    body = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.target = head[0].split(" ")[1]
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        self.headers = {name.lower(): value for name, value in pairs}
        self.body = await reader.readexactly(int(self.headers["content-length"]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listening = Listener()
    server = await asyncio.start_server(listening, "127.0.0.1", 0)
    listening.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield listening
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("transport", [httpx.AsyncHTTPTransport, httpx_aiohttp.AiohttpTransport])
@pytest.mark.parametrize("model", [CLAUDE, PROFILE, "responses/openai.gpt-oss-120b"])
async def test_the_signature_holds_for_the_bytes_on_the_wire(listener: Listener, transport: Any, model: str) -> None:
    """HTTP clients rewrite percent-encoding; what was signed must still be what the server sees."""
    secret = KEYS["AWS_SECRET_ACCESS_KEY"]
    options = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": secret, "aws_session_token": "FQoG/token=="}
    endpoint = bedrock.endpoint(
        deployment(model, api_base=listener.url, options={**options, "aws_region_name": "us-east-1"}), {}
    )

    async with httpx.AsyncClient(transport=transport(), auth=endpoint.auth) as client:
        headers = {"content-type": "application/json", "x-trace": "1"}
        answer = await client.post(endpoint.url, content=b'{"messages": []}', headers=headers)

    assert answer.status_code == 200
    sent = listener.headers
    assert sent["x-amz-security-token"] == "FQoG/token=="
    service = "bedrock-mantle" if model.startswith("responses/") else "bedrock"
    assert f"/us-east-1/{service}/aws4_request, " in sent["authorization"]
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, " in sent["authorization"]
    expected = signature_of(listener.target, sent, listener.body, secret)
    assert sent["authorization"].endswith(f"Signature={expected}")


def test_a_blocking_client_signs_too() -> None:
    auth = SigV4Auth("us-east-1", "bedrock", access_key="AKIDEXAMPLE", secret_key="secret")
    request = httpx.Request("POST", "https://example.test/model/m/converse", content=b"{}")

    next(auth.sync_auth_flow(request))

    headers = dict(request.headers)
    expected = signature_of("/model/m/converse", headers, b"{}", "secret")
    assert headers["authorization"].endswith(f"Signature={expected}")


async def test_credentials_come_from_a_profile_of_the_shared_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text("[books]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    auth = bedrock.endpoint(deployment(CLAUDE, options={"aws_profile_name": "books"}), {"AWS_REGION": "us-east-1"}).auth
    assert auth is not None

    request = await anext(auth.async_auth_flow(httpx.Request("POST", "https://example.test/x", content=b"{}")))
    assert "Credential=AKIDPROFILE/" in request.headers["authorization"]

    shared.unlink()  # what was found is kept for a while
    request = await anext(auth.async_auth_flow(httpx.Request("POST", "https://example.test/x", content=b"{}")))
    assert "Credential=AKIDPROFILE/" in request.headers["authorization"]


async def test_no_credentials_at_all_is_an_error_of_authentication(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    auth = SigV4Auth("us-east-1", "bedrock")

    with pytest.raises(UpstreamError, match="No AWS credentials") as failed:
        await anext(auth.async_auth_flow(httpx.Request("POST", "https://example.test/x", content=b"{}")))
    assert failed.value.kind == "auth"
