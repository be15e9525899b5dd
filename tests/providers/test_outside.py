"""A provider in one file, from another package, through a gateway that really runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml

from tests.serving import environment, served
from tollbook.config import config_from
from tollbook.dialects import chat
from tollbook.providers.registry import endpoint_of

# The one file: it says where the place is, how to authenticate there and which language it speaks. Authentication and
# body are not like any of ours.
MODULE = '''
"""Parrot: Chat Completions at an address of its own, with the key in a header of its own."""

from dataclasses import replace

from tollbook.auth.header import HeaderAuth
from tollbook.dialects import chat
from tollbook.errors import ConfigError
from tollbook.providers import Endpoint

PROVIDER = "parrot"
KEY_VARIABLES = ("PARROT_API_KEY",)

_DIALECT = chat.Chat(replace(chat.OPENAI, host="Parrot", max_tokens="most"))


def endpoint(deployment, environment):
    key = deployment.api_key or environment.get("PARROT_API_KEY")
    if not key:
        raise ConfigError(f"Deployment {deployment.name!r} (parrot) needs PARROT_API_KEY.")
    url = f"{deployment.api_base}/birds/{deployment.model}/talk"
    return Endpoint(
        provider=PROVIDER,
        dialect=_DIALECT,
        url=url,
        stream_url=url,
        auth=HeaderAuth("x-parrot-key", key),
        adjust=lambda body: {name: value for name, value in body.items() if name != "model"},
        auth_scheme="x-parrot-key",
    )
'''


class Bird(ThreadingHTTPServer):
    """The upstream: it says what it hears, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []
        bird = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                bird.asked.append((self.path, self.headers["x-parrot-key"], body))
                words = body["messages"][-1]["content"].split(" ")
                pieces = [{"content": word + " "} for word in words]
                chunks = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
                chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                chunks.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": len(words)}})
                message = {"role": "assistant", "content": "".join(piece["content"] for piece in pieces)}
                whole = {
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": chunks[-1]["usage"],
                }
                streamed = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
                data = (streamed if body.get("stream") else json.dumps(whole)).encode()
                self.send_response(200)
                self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def bird() -> Iterator[Bird]:
    with Bird() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the package as an installer leaves it: the module, and its metadata with the entry point."""
    folder = tmp_path / "site"
    metadata = folder / "tollbook_parrot-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "tollbook_parrot.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tollbook-parrot\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[tollbook.providers]\nparrot = tollbook_parrot\n")
    return folder


def test_a_provider_of_another_package_serves_like_our_own(tmp_path: Path, installed: Path, bird: Bird) -> None:
    config = tmp_path / "config.yaml"
    params = f"{{model: parrot/ara, api_base: '{bird.url}', api_key: os.environ/PARROT_API_KEY}}"
    config.write_text(f"model_list:\n  - {{model_name: bird, litellm_params: {params}}}\n")
    variables = {"PYTHONPATH": str(installed), "PARROT_API_KEY": "seed"}

    with served(tmp_path / "gateway", "--config", str(config), **variables) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        first = client.responses.create(model="bird", input="hello there", max_output_tokens=50)
        with client.responses.stream(model="bird", input="and you", previous_response_id=first.id) as stream:
            deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
            second = stream.get_final_response()

    assert first.output_text == "hello there "
    assert "".join(deltas) == second.output_text == "and you "
    assert second.usage is not None
    assert (second.usage.input_tokens, second.usage.output_tokens) == (3, 2)
    (path, key, body), (_, _, followed) = bird.asked
    assert (path, key, body["most"]) == ("/birds/ara/talk", "seed", 50)
    assert "model" not in body
    assert [message["content"] for message in followed["messages"]] == ["hello there", "hello there ", "and you"]


def test_the_configuration_in_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "new-provider.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    config = config_from(yaml.safe_load("".join(blocks)), {"HOUSE_KEY": "key"})

    (deployment,) = config.deployments.values()
    place = endpoint_of(deployment, {})
    assert place.url == "https://llm.example.com/v1/chat/completions"
    assert isinstance(place.dialect, chat.Chat)
    assert place.dialect.manner.passes == {"top_k", "min_p"}


def test_what_the_other_package_misses_is_told_by_check(tmp_path: Path, installed: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "model_list:\n  - {model_name: bird, litellm_params: {model: parrot/ara, api_base: 'http://x'}}\n"
    )
    told = subprocess.run(
        [sys.executable, "-m", "tollbook", "check", "--config", str(config)],
        env=environment(PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 1
    assert "Deployment 'bird' (parrot) needs PARROT_API_KEY." in told.stderr
