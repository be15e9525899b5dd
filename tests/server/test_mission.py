"""Every proxy snippet of the mission, as it is written there, through a gateway whose configuration is the mission's too.

The providers are replayed recordings of their real traffic; only where they are (`api_base`, or the environment) is
changed, and in the snippets the address of the gateway.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.shared.library import ABSENT, library, present, replay
from tollbook.config import load_config

from .running import Gateway, running

MISSION = Path(__file__).resolve().parents[3] / "shared" / "mission" / "responses.md"

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not MISSION.is_file(), reason=f"the mission is not here ({MISSION})"),
    pytest.mark.skipif(not present(), reason=ABSENT),
]

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

UNICORN = ("openai", "anthropic", "vertex", "bedrock", "gemini")
"""The tabs of the chapter on the OpenAI SDK: one configuration, four snippets or two."""

_SECRETS = {
    "OPENAI_API_KEY": "sk-openai",
    "ANTHROPIC_API_KEY": "sk-anthropic",
    "GEMINI_API_KEY": "gemini-key",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
}


def blocks(kind: str, *, after: str = "", before: str = "") -> list[str]:
    """The code blocks of a kind between two texts of the mission."""
    text = MISSION.read_text() if MISSION.is_file() else ""
    start = text.find(after) if after else 0
    end = text.find(before, start + len(after)) if before else len(text)
    return [code for language, _, code in _BLOCK.findall(text[start:end]) if language == kind]


def tab(name: str) -> tuple[str, list[str]]:
    """Configuration and client snippets of one provider's tab."""
    chapter = "### LiteLLM Proxy with OpenAI SDK"
    text = MISSION.read_text()
    start = text.index(f'<TabItem value="{name}"', text.index(chapter))
    piece = text[start : text.index("</TabItem>", start)]
    found = [(language, code) for language, _, code in _BLOCK.findall(piece)]
    (configuration,) = [code for language, code in found if language == "yaml"]
    return configuration, [code for language, code in found if language == "python"]


def recording(api: str, *, streaming: bool, provider: str) -> str:
    """A recorded answer of text to a plain question."""
    odd = ["tools-defined", "structured-output", "incomplete", "max-tokens", "file-in", "background", "error"]
    found: list[str] = library().find(provider, api, ["text"], odd, streaming=streaming, status=200)
    return found[0]


_SPOKEN = {
    # tab -> provider of the recordings, language of a whole answer, of a streamed one, and what its URLs end in
    "openai": ("openai", "openai.responses", "openai.responses", "/v1"),
    "anthropic": ("anthropic", "anthropic.messages", "anthropic.messages", ""),
    "vertex": ("vertex", "vertex.generateContent", "vertex.streamGenerateContent", ""),
    "bedrock": ("bedrock", "bedrock.converse", "bedrock.converse-stream", ""),
    "gemini": ("gemini", "gemini.generateContent", "gemini.streamGenerateContent", ""),
}


def run(code: str, gateway: Gateway) -> dict[str, Any]:
    """The snippet's variables after it ran; what it prints is left to pytest."""
    assert code.count("http://localhost:4000") == 1
    code = code.replace("http://localhost:4000", gateway.url)
    found: dict[str, Any] = {}
    exec(compile(code, "snippet", "exec"), found)
    return found


@pytest.fixture(scope="module")
def recorded() -> Iterator[Any]:
    with replay().ThreadedReplay(library()) as server:
        yield server


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory, recorded: Any) -> Iterator[Gateway]:
    """One gateway with the configurations of all tabs; each snippet's request meets the next recording of its provider."""
    model_list = []
    for name in UNICORN:
        configuration, snippets = tab(name)
        provider, whole, streamed, path = _SPOKEN[name]
        played = [
            recording(streamed if "stream=True" in code else whole, streaming="stream=True" in code, provider=provider)
            for code in snippets
        ]
        (entry,) = yaml.safe_load(configuration)["model_list"]
        entry["litellm_params"]["api_base"] = recorded.sequence_url(*played) + path
        if name == "vertex":
            entry["litellm_params"]["access_token"] = "ya29.test"  # in place of application default credentials
        model_list.append(entry)
    folder = tmp_path_factory.mktemp("mission")
    with running(folder, {"model_list": model_list}, environment=_SECRETS, key=None) as gateway:
        yield gateway


@pytest.mark.parametrize("name", UNICORN)
def test_the_snippets_of_every_provider_run(providers: Gateway, capsys: pytest.CaptureFixture[str], name: str) -> None:
    _, snippets = tab(name)
    assert len(snippets) == (4 if name == "openai" else 2)

    for code in snippets:
        found = run(code, providers)
        printed = capsys.readouterr().out
        if "stream=True" in code:
            assert "ResponseCreatedEvent" in printed
            assert "ResponseCompletedEvent" in printed
            assert "ResponseTextDeltaEvent" in printed
        else:
            assert found["response"].status == "completed"
            assert found["response"].output_text
        if "retrieve(" in code:
            assert found["retrieved_response"] == found["response"]
        if "delete(" in code:
            with providers.client() as http:
                assert http.get(f"/v1/responses/{found['response_id']}").status_code == 404


@pytest.mark.parametrize("number", range(7))
def test_every_configuration_of_the_mission_loads_unchanged(tmp_path: Path, number: int) -> None:
    found = blocks("yaml")
    assert len(found) == 7
    path = tmp_path / "config.yaml"
    path.write_text(found[number])

    config = load_config(path, _SECRETS)

    assert config.warnings == ()
    assert config.general.store_prompts_in_spend_logs
    assert config.names


def test_a_follow_up_goes_to_the_deployment_that_made_its_parent(tmp_path: Path, recorded: Any) -> None:
    """Two Azure deployments under one name."""
    chapter = "#### 1. Setup session continuity on proxy config.yaml"
    (configuration,) = blocks("yaml", after=chapter, before="#### 2.")
    (code,) = blocks("python", after=chapter, before="## Session Management")
    first = "openai-responses-openai-responses-with-previous-response-id-a26842f84983-0"
    second = "openai-responses-openai-responses-with-previous-response-id-a26842f84983-1"
    config = yaml.safe_load(configuration)
    recorded.clear()
    for entry in config["model_list"]:
        entry["litellm_params"]["api_base"] = recorded.sequence_url(first, second)
    with running(tmp_path, config, key=None) as gateway:
        assert run(code, gateway)["follow_up"].output_text
        with gateway.client() as http:
            calls = [c for c in http.get("/v1/calls?limit=50").json()["data"] if c["operation"] == "create"]
    second_call, first_call = calls
    assert second_call["previous_response_id"] == first_call["response_id"]
    assert second_call["attempts"][0]["deployment"] == first_call["attempts"][0]["deployment"]
    assert [request.json.get("previous_response_id") for request in recorded.requests] == [
        None,
        first_call["response_id"],
    ]


JORDAN = "## Session Management - Non-OpenAI Models"


@pytest.fixture
def jordan(tmp_path: Path, recorded: Any) -> Iterator[Gateway]:
    """The mission's own configuration, with a key and an address of Anthropic in the environment."""
    (configuration,) = blocks("yaml", after=JORDAN, before="2. Make request 1")
    answer = recording("anthropic.messages", streaming=False, provider="anthropic")
    recorded.clear()
    place = {"ANTHROPIC_API_KEY": "sk-anthropic", "ANTHROPIC_API_BASE": recorded.sequence_url(*[answer] * 3)}
    with running(tmp_path, configuration, environment=place, key="sk-1234") as gateway:
        yield gateway


def _seen(recorded: Any) -> list[list[str]]:
    """What the model was told in each request: its messages, role and text."""
    told = []
    for request in recorded.requests:
        texts = []
        for message in request.json["messages"]:
            content = message["content"]
            text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
            texts.append(f"{message['role']}: {text}")
        told.append(texts)
    return told


def _conversation(seen: list[list[str]], answer: str) -> None:
    first, second, third = seen
    assert first == ["user: who is Michael Jordan"]
    assert second == ["user: who is Michael Jordan", f"assistant: {answer}", "user: can you tell me more about him"]
    assert third == ["user: can you tell me more about him"]


def test_the_three_requests_of_a_conversation_with_the_openai_sdk(
    jordan: Gateway, recorded: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, three = blocks("python", after=JORDAN)

    first = run(one, jordan)["response"]
    assert "resp_123abc" in two
    run(two.replace("resp_123abc", first.id), jordan)
    run(three, jordan)

    assert capsys.readouterr().out.startswith(f"{first.id}\n{first.output_text}\n")
    _conversation(_seen(recorded), first.output_text)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_three_requests_of_a_conversation_with_curl(jordan: Gateway, recorded: Any) -> None:
    one, two, three = blocks("curl", after=JORDAN)

    def curl(command: str) -> Any:
        words = shlex.split(textwrap.dedent(command).replace("\\\n", " "))
        words = [word.replace("http://localhost:4000", jordan.url) for word in words]
        done = subprocess.run([*words, "-sS", "--noproxy", "*"], capture_output=True, timeout=30, check=True)
        return yaml.safe_load(done.stdout)

    first = curl(one)
    curl(two.replace("resp_123abc", first["id"]))
    third = curl(three)

    text = "".join(part["text"] for part in first["output"][0]["content"])
    assert third["id"] != first["id"]
    _conversation(_seen(recorded), text)


def test_the_simulated_model_tells_how_much_of_the_conversation_it_saw(gateway: Gateway) -> None:
    with gateway.openai() as client:
        asked = {"model": "simulated/echo", "input": "can you tell me more about him"}
        first = client.responses.create(model="simulated/echo", input="who is Michael Jordan")
        second = client.responses.create(**asked, previous_response_id=first.id)  # type: ignore[call-overload]
        third = client.responses.create(**asked)  # type: ignore[call-overload]

    assert second.output_text.endswith("Before it I saw 2 messages, the first was: who is Michael Jordan")
    assert third.output_text.endswith("It is the first message I see.")
