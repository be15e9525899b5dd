"""Recorded conversations as chains of `previous_response_id` through a running gateway, and one that changes its provider.

    pytest tests/shared/test_conversations.py

The client sends what is new in each turn only; the upstream must get all that came before, in order, or the id under
which it keeps that itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from .asking import ask
from .deployments import endpoint, params
from .exceptions import EXCEPTIONS
from .explained import family
from .express import Inexpressible, Item, express
from .hearing import Heard
from .library import ABSENT, entries, library, present, replay
from .oracle import said
from .running import Running, gateway
from .spelling import spelled

pytestmark = pytest.mark.slow

_TURNS = {
    "chat": "messages",
    "anthropic": "messages",
    "converse": "messages",
    "cohere": "messages",
    "gemini": "contents",
}

_OUTPUTS = ("reasoning", "function_call", "custom_tool_call", "web_search_call", "mcp_call", "mcp_list_tools")
"""Items that the model made, beside its messages."""

_FOLLOWED = 200
"""Turns at least that go on from another; a shorter list would mean that the chains are no longer found."""

_AT_ONCE = 12


def chains() -> list[list[str]]:
    """Ids of recordings whose requests go on from the one before: same messages, then more."""
    found: list[list[str]] = []
    ids: set[str | None] = set()
    ordered = sorted(entries(), key=lambda e: (e["conversation"], e["position"]))
    for entry in ordered:
        recording = library()[entry["id"]]
        if entry["id"] in EXCEPTIONS or entry["status"] != 200 or not isinstance(recording.request_json, dict):
            continue
        if said(recording).failure is not None:
            continue
        if recording.api == "openai.responses":
            # Redacted recordings share their ids; one gateway cannot hold two responses of the same id.
            if _upstream_id(recording) in ids:
                continue
            ids.add(_upstream_id(recording))
        last = library()[found[-1][-1]] if found else None
        if last is not None and last.conversation == recording.conversation and _goes_on(last, recording):
            found[-1].append(entry["id"])
        else:
            found.append([entry["id"]])
    return [chain for chain in found if len(chain) > 1]


def _turns(recording: Any) -> list[Any]:
    body = spelled(recording.api, recording.request_json)
    turns = body.get(_TURNS.get(family(recording.api), "input")) or []
    return turns if isinstance(turns, list) else [{"role": "user", "content": turns}]


def _goes_on(before: Any, now: Any) -> bool:
    """By id, or with the same turns, then what the model said to them, then more."""
    if family(now.api) != family(before.api):
        return False
    parent = now.request_json.get("previous_response_id")
    if parent:
        return bool(parent == _upstream_id(before))
    earlier, later = _turns(before), _turns(now)
    if len(later) <= len(earlier) or later[: len(earlier)] != earlier:
        return False
    answer = later[len(earlier)]
    return answer.get("role") in ("assistant", "model") or answer.get("type") in _OUTPUTS


def _upstream_id(recording: Any) -> str | None:
    for _, event in recording.events():
        if isinstance(event, dict):
            whole = event.get("response") or event
            if isinstance(whole, dict) and whole.get("object") == "response":
                return str(whole["id"])
    return None


@dataclass(frozen=True)
class Talk:
    """A chain, and the public model name under which the gateway reaches its recordings one after the other."""

    name: str
    ids: list[str]


@pytest.fixture(scope="module")
def talks() -> list[Talk]:
    if not present():
        pytest.skip(ABSENT)
    return [Talk(f"talk-{number}", chain) for number, chain in enumerate(chains())]


@pytest.fixture(scope="module")
def running(talks: list[Talk], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with replay().ThreadedReplay(library()) as upstream:
        model_list = [
            {
                "model_name": talk.name,
                "params": params(library().by_id[talk.ids[0]], upstream.sequence_url(*talk.ids)),
            }
            for talk in talks
        ]
        model_list += [
            {"model_name": i, "params": params(library().by_id[i], upstream.sequence_url(i))} for i in _tour()
        ]
        with gateway(tmp_path_factory.mktemp("gateway"), model_list) as base:
            yield Running(base, upstream)


async def test_each_turn_reaches_the_upstream_with_all_that_came_before(running: Running, talks: list[Talk]) -> None:
    places = asyncio.Semaphore(_AT_ONCE)

    async with running.client() as client:

        async def one(talk: Talk) -> list[str]:
            async with places:
                return await _follow(running, client, talk)

        lines = [line for found in await asyncio.gather(*map(one, talks)) for line in found]

    followed = sum(max(0, len(running.sent(*talk.ids)) - 1) for talk in talks)
    assert followed >= _FOLLOWED, f"only {followed} turns followed another"
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


async def _follow(running: Running, client: openai.AsyncOpenAI, talk: Talk) -> list[str]:
    """Lead one conversation; a line for everything that did not reach the upstream."""
    lines: list[str] = []
    pieces: list[str] = []
    before: Heard | None = None
    for number, recording_id in enumerate(talk.ids):
        recording = library()[recording_id]
        native = recording.api == "openai.responses"
        history: list[list[Item]] = []
        try:
            request = express(recording, endpoint(recording_id).dialect, history)
        except Inexpressible:
            return lines
        request.pop("model", None)
        request.pop("previous_response_id", None)
        request.pop("store", None)  # what is not stored cannot be followed up
        if before is not None and not _answered(history, before):
            return lines  # another talk in the same cassette
        new = _new(recording, request.pop("input"), history, before)
        streamed = bool(request.pop("stream", False))
        parent = {"previous_response_id": before.response["id"]} if before else {}
        heard = await ask(client, talk.name, stream=streamed, input=new, **request, **parent)
        if heard.said.failure is not None:
            return [*lines, f"{recording_id}: {heard.said.failure}"]
        body = running.sent(*talk.ids)[number]
        if native and body.get("previous_response_id"):
            if body["previous_response_id"] != _upstream_id(library()[talk.ids[number - 1]]):
                lines.append(f"{recording_id}: previous_response_id is {body['previous_response_id']!r}")
            pieces = []  # the upstream keeps them
        pieces += _pieces(new)
        lines += [
            f"{recording_id}: not sent, or not in order: {piece[:200]!r}"
            for piece in _missing(pieces, spelled(recording.api, body))
        ]
        pieces += _pieces(heard.response["output"])
        before = heard
    return lines


def _answered(history: list[list[Item]], before: Heard) -> bool:
    """Whether the model's last turn in this history is the answer that was given: the same tools called."""
    if not history:
        return True
    calls = [item["name"] for item in before.response["output"] if item["type"] == "function_call"]
    return [item["name"] for item in history[-1] if item["type"] == "function_call"] == calls


def _new(recording: Any, items: Any, history: list[list[Item]], before: Heard | None) -> list[Item]:
    """What the client adds in this turn, with call ids as the gateway told them."""
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    if before is None:
        return list(items)
    if recording.api == "openai.responses" and not history:
        if recording.request_json.get("previous_response_id"):
            return list(items)
        return _after_outputs(items)
    told = {id(item) for turn in history for item in turn}
    last = max((index for index, item in enumerate(items) if id(item) in told), default=-1)
    # Where the gateway made the ids of calls, they differ from those that the recorded client made.
    calls = [item["call_id"] for item in before.response["output"] if item["type"] == "function_call"]
    known = [item["call_id"] for item in history[-1] if item["type"] == "function_call"]
    ids = dict(zip(known, calls, strict=True))
    added = [dict(item) for item in items[last + 1 :]]
    for item in added:
        if "call_id" in item:
            item["call_id"] = ids.get(item["call_id"], item["call_id"])
    return added


def _after_outputs(items: list[Item]) -> list[Item]:
    """Of a history that was sent whole: what stands after the last thing that the model said."""
    outputs = ("reasoning", "function_call", "custom_tool_call", "web_search_call", "mcp_call", "mcp_list_tools")
    last = max(
        (i for i, item in enumerate(items) if item.get("type") in outputs or item.get("role") == "assistant"),
        default=-1,
    )
    return items[last + 1 :]


def _pieces(items: list[Item]) -> list[str]:
    """What a reader of the conversation must find again: texts, names of called tools, results."""
    found = []
    for item in items:
        content = item.get("content")
        if item.get("type") in ("function_call", "custom_tool_call"):
            found.append(item["name"])
        elif item.get("type") == "function_call_output":
            output = item["output"]
            texts = [output] if isinstance(output, str) else [part.get("text") or "" for part in output]
            found += [_bare(text) for text in texts]
        elif item.get("type", "message") == "message":
            texts = [content] if isinstance(content, str) else [part.get("text") or "" for part in content or []]
            found += [text.strip() for text in texts]
    return [piece for piece in found if piece]


def _bare(text: str) -> str:
    """A result that is JSON may arrive as a value; then only its strings are looked for, the longest of them."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    strings = _leaves(value)
    return max(strings, key=len, default="").strip()


def _leaves(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        # A call's arguments and a result may be JSON text; what is inside counts as well.
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    return [leaf for inner in value for leaf in _leaves(inner)] if isinstance(value, list) else []


def _missing(pieces: list[str], body: dict[str, Any]) -> list[str]:
    """The pieces that are not found one after the other in the body's turns."""
    turns: Any = next(
        (body[name] for name in ("messages", "contents", "input") if isinstance(body.get(name), (list, str))), []
    )
    leaves = [*_leaves(body.get("system")), *_leaves(body.get("systemInstruction")), *_leaves(turns)]
    missing, place = [], 0
    for piece in pieces:
        where = next((i for i in range(place, len(leaves)) if piece in leaves[i] or piece in _decoded(leaves[i])), None)
        if where is None:
            missing.append(piece)
        else:
            place = where
    return missing


def _decoded(leaf: str) -> str:
    if not leaf.startswith(("{", "[", '"')):
        return leaf
    try:
        return "\n".join(_leaves(json.loads(leaf)))
    except ValueError:
        return leaf


def _tour() -> list[str]:
    """OpenAI, then Claude, then Gemini, then Bedrock, then OpenAI again: the first three call a tool."""

    def first(provider: str, api: str, features: list[str], without: list[str], *, streaming: bool) -> str:
        return str(library().find(provider, api, features, without, streaming=streaming, status=200)[0])

    odd = [
        "custom-tool",
        "server-tool-use",
        "mcp",
        "server-tool-other",
        "code-execution",
        "web-search",
        "previous-response-id",
    ]
    openai_call = first("openai", "openai.responses", ["tool-call", "reasoning-encrypted"], odd, streaming=False)
    claude_call = first("anthropic", "anthropic.messages", ["tool-call", "reasoning-text"], odd, streaming=True)
    gemini_call = first("gemini", "gemini.generateContent", ["tool-call", "reasoning-signature"], odd, streaming=False)
    bedrock_text = first("bedrock", "bedrock.converse-stream", ["reasoning-signature", "text"], odd, streaming=True)
    openai_text = first("openai", "openai.responses", ["text"], [*odd, "max-tokens"], streaming=True)
    return [openai_call, claude_call, gemini_call, bedrock_text, openai_text]


async def test_a_conversation_goes_on_with_another_provider(running: Running) -> None:
    """Everything said before reaches each of them, tool calls and results included; sealed reasoning its maker only."""
    pieces: list[str] = []
    before: Heard | None = None
    seals: list[tuple[str, str]] = []
    async with running.client() as client:
        for number, recording_id in enumerate(_tour()):
            calls = [i for i in before.response["output"] if i["type"] == "function_call"] if before else []
            new: list[Item] = [
                {"type": "function_call_output", "call_id": c["call_id"], "output": f"result {number} of {c['name']}"}
                for c in calls
            ] or [{"role": "user", "content": f"question {number}"}]
            parent = {"previous_response_id": before.response["id"]} if before else {}

            heard = await ask(client, recording_id, stream=number % 2 == 1, input=new, **parent)

            assert heard.said.failure is None, recording_id
            (body,) = running.sent(recording_id)
            pieces += _pieces(new)
            assert _missing(pieces, spelled(library()[recording_id].api, body)) == [], recording_id
            assert body.get("previous_response_id") is None
            text = json.dumps(body)
            assert "tbk1." not in text, "a seal of ours went out"
            maker = recording_id.split("-")[0]
            assert not any(seal in text for owner, seal in seals if owner != maker), "a seal went to another maker"
            pieces += _pieces(heard.response["output"])
            seals += [(maker, i["encrypted_content"]) for i in heard.response["output"] if i.get("encrypted_content")]
            before = heard
    assert len(pieces) >= 8
