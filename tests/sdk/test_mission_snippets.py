"""LiteLLM's own documentation, `litellm` replaced by `tollbook`: each Python SDK snippet runs against recorded providers.

Nothing but the address of each provider is changed, by the variable that its own SDK or LiteLLM has for that.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import tollbook
from tests.shared.library import ABSENT, present, replay

from .google import service_account

PAGE = Path(__file__).resolve().parents[3] / "shared" / "mission" / "responses.md"

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not (present() and PAGE.is_file()), reason=ABSENT),
]


class Snippet(NamedTuple):
    """A code block of the page, by its title."""

    title: str
    code: str


def snippets() -> list[Snippet]:
    """The Python blocks of the SDK section, and the Router's."""
    if not PAGE.is_file():
        return []
    text = PAGE.read_text()
    section = text[text.index("### LiteLLM Python SDK") : text.index("### LiteLLM Proxy with OpenAI SDK")]
    found = re.findall(r'```python [^\n]*title="([^"]+)"\n(.*?)```', section, re.DOTALL)
    return [Snippet(title, code.replace("litellm", "tollbook")) for title, code in found]


def session_snippet() -> str:
    (code,) = re.findall(
        r'```python [^\n]*title="Python SDK with Session Continuity"\n(.*?)```', PAGE.read_text(), re.DOTALL
    )
    return str(code).replace("litellm", "tollbook")


class Place(NamedTuple):
    """How a provider is told to live on this machine, and the wire formats of its answers."""

    variable: str
    suffix: str
    plain: str
    streamed: str


PLACES = {
    "OpenAI": Place("OPENAI_BASE_URL", "/v1", "openai.responses", "openai.responses"),
    "Anthropic": Place("ANTHROPIC_BASE_URL", "", "anthropic.messages", "anthropic.messages"),
    "Vertex AI": Place("VERTEXAI_API_BASE", "", "vertex.generateContent", "vertex.streamGenerateContent"),
    "AWS Bedrock": Place("AWS_BEDROCK_RUNTIME_ENDPOINT", "", "bedrock.converse", "bedrock.converse-stream"),
    "Google AI Studio": Place("GEMINI_API_BASE", "", "gemini.generateContent", "gemini.streamGenerateContent"),
}
ODD = ("error", "truncated-stream", "content-filter", "refusal", "max-tokens", "server-tool-use")


@pytest.fixture
def server() -> Iterator[Any]:
    with replay().ThreadedReplay() as running:
        yield running


def recording(server: Any, wire: str, *, streaming: bool) -> str:
    """The first recorded answer of plain text in a wire format."""
    return str(server.library.find(wire.partition(".")[0], wire, ["text"], ODD, streaming=streaming, status=200)[0])


def execute(code: str, names: dict[str, Any]) -> Any:
    """Run it as a notebook would: `await` may stand alone. Answers a coroutine when it did."""
    compiled = compile(code, "<snippet>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return eval(compiled, names)


@pytest.mark.parametrize("snippet", snippets(), ids=lambda snippet: snippet.title)
def test_the_snippet_runs(snippet: Snippet, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    streaming = "stream=True" in snippet.code
    name = next((name for name in PLACES if snippet.title.startswith(name)), "OpenAI")
    place = PLACES[name]
    chosen = recording(server, place.streamed if streaming else place.plain, streaming=streaming)
    os.environ[place.variable] = server.base_url(chosen) + place.suffix
    os.environ["OPENAI_API_KEY"] = "sk-test"
    names: dict[str, Any] = {}
    with service_account(tmp_path):
        execute(snippet.code, names)
    printed = capsys.readouterr().out

    assert server.requests, "the provider was never asked"
    assert server.requests[0].problem is None
    response = names["event"].response if streaming else names["response"]
    assert isinstance(response, tollbook.Response)
    assert response.status in ("completed", "incomplete")
    assert response.output_text
    assert response.usage.total_tokens > 0
    assert response.call.attempts[-1].outcome in ("completed", "incomplete")
    if streaming:
        assert isinstance(names["event"], tollbook.Event)
        assert printed.splitlines()[0].startswith("ResponseEvent(type='response.created'")
        assert "response.output_text.delta" in printed
    else:
        assert response.id in printed
    if "retrieved_response" in names:
        assert names["retrieved_response"] == response
    if "delete_response" in names:
        assert names["delete_response"].to_dict() == {"id": response.id, "object": "response", "deleted": True}
        with pytest.raises(tollbook.NotFound):
            tollbook.get_responses(response_id=response.id)


async def test_the_router_snippet_keeps_its_session(server: Any) -> None:
    """Which of the two is asked first is chance; the follow-up goes to the same one, with the parent's id."""
    turns = (
        "azure-responses-azure-o4-mini-simple-2b5ac7486970-0",
        "azure-responses-azure-gpt-5-mini-tool-8010d4a4c1f8-1",
    )
    for number in range(4):
        code = session_snippet()
        for endpoint in ("endpoint1", "endpoint2"):
            base = server.sequence_url(*turns, s=f"{endpoint}-{number}")
            code = code.replace(f"https://{endpoint}.openai.azure.com", base)
        server.requests.clear()
        names: dict[str, Any] = {}
        running = execute(code, names)
        assert inspect.isawaitable(running)
        await running
        await names["router"].aclose()

        first, second = server.requests
        assert (first.problem, second.problem) == (None, None)
        assert first.path == second.path
        assert first.query == second.query == {"api-version": "2024-06-01"}
        assert second.json["previous_response_id"] == names["response_id"] == names["response"].id
        assert first.json["model"] == "gpt-4-turbo"
        assert first.json["truncation"] == "auto"
        assert names["follow_up"].id != names["response_id"]
        assert names["follow_up"].call.session_id == names["response_id"]


def test_every_snippet_of_the_page_was_found() -> None:
    assert len(snippets()) == 12
    assert sum("stream=True" in snippet.code for snippet in snippets()) == 5
