"""Every recording says through Tollbook what it says by itself.

    pytest tests/shared/test_recordings.py -k "reader and anthropic"    one dialect or provider, in this process
    pytest tests/shared/test_recordings.py -k reader --tb=line -q        all of them: about 1,200 recordings
    pytest tests/shared/test_recordings.py -k test_gateway               all through a running gateway and the OpenAI SDK

The expectation comes from `oracle.said`, which reads the recorded bytes without any code of the product.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from .asking import as_seen, ask, raw
from .compare import differences
from .deployments import params
from .exceptions import EXCEPTIONS
from .hearing import Heard, hear
from .law import breach, ended, recorded_breach
from .library import ABSENT, entries, library, present, replay
from .oracle import said
from .running import Running, gateway

_SHARE = 0.02


def _parameters(**wanted: Any) -> list[Any]:
    chosen = [e for e in entries() if all(e[k] == v for k, v in wanted.items())]
    excused = {i: pytest.mark.xfail(strict=True, reason=reason) for i, reason in EXCEPTIONS.items()}
    return [pytest.param(e["id"], id=e["id"], marks=[excused[e["id"]]] if e["id"] in excused else []) for e in chosen]


@pytest.mark.parametrize("recording_id", _parameters())
def test_reader_says_what_the_recording_says(recording_id: str) -> None:
    """Streamed answers keep the law of the protocol; whole answers say the same to a client that streams."""
    recording = library()[recording_id]
    expected = said(recording)

    heard = hear(recording)

    assert differences(expected, heard.said) == []
    if heard.events and breach(heard.events):
        assert recording.api == "openai.responses"
        assert breach(heard.events) == recorded_breach(recording)
    assert differences(expected, hear(recording, stream=False).said) == []


@pytest.mark.parametrize("recording_id", _parameters(streaming=True, status=200))
@pytest.mark.parametrize("fragments", ["awkward", "random", "byte"])
def test_reader_does_not_mind_where_the_bytes_are_cut(recording_id: str, fragments: str) -> None:
    recording = library()[recording_id]
    expected = said(recording)

    heard = hear(recording, fragments)

    assert differences(expected, heard.said) == []


@pytest.mark.parametrize("recording_id", _parameters(streaming=True, status=200))
def test_reader_says_that_the_second_half_is_missing(recording_id: str) -> None:
    recording = library()[recording_id]

    expected = said(recording)

    heard = hear(recording, body=recording.body[: len(recording.body) // 2])

    assert expected.text.startswith(heard.said.text)
    if heard.said.stop == "error":
        assert heard.said.failure is not None
    else:  # all of the answer had come; what was cut is only a report about it
        assert replace(expected, tokens=None) == replace(heard.said, tokens=None)


# Errors that nobody recorded, in each provider's own form (replay.py), and the kind that they are.
_FAULTS = {
    "overloaded": "overloaded",
    "rate_limit": "rate_limit",
    "api_error": "server",
    "internal": "server",
    "model_stream_error": "server",
    "validation": "bad_request",
}


def _injected(recording: Any, what: str) -> bytes:
    """The recorded bytes with something constructed after the third event."""
    ends = replay().event_ends(recording)
    place = ends[min(3, len(ends)) - 1]
    extra, goes_on = replay().injected(recording, what)
    return bytes(recording.body[:place] + extra + (recording.body[place:] if goes_on else b""))


@pytest.mark.parametrize("recording_id", _parameters(streaming=True, status=200))
def test_reader_tells_the_kind_of_an_error_inside_the_stream(recording_id: str) -> None:
    recording = library()[recording_id]
    if said(recording).failure is not None:
        pytest.skip("it holds an error of its own")
    wrong = []
    for what, kind in _FAULTS.items():
        heard = hear(recording, body=_injected(recording, what)).said
        kinds = {kind}
        if what == "overloaded" and recording.api == "openai.responses":
            kinds.add("server")  # OpenAI has no code of its own for it: `server_error`
        if heard.stop != "error" or heard.failure is None or heard.failure.kind not in kinds:
            wrong.append((what, heard.stop, heard.failure))
    assert wrong == []


@pytest.mark.parametrize("recording_id", _parameters(streaming=True, status=200))
@pytest.mark.parametrize("what", ["ping", "unknown_event"])
def test_reader_passes_over_what_it_does_not_know(recording_id: str, what: str) -> None:
    recording = library()[recording_id]
    expected = said(recording)

    heard = hear(recording, body=_injected(recording, what))

    assert differences(expected, heard.said) == []


async def _hear(running: Running, wanted: list[tuple[str, bool]]) -> list[Heard]:
    """Ask for each (model name, streamed or not), some at a time; answers in the order of the list."""
    places = asyncio.Semaphore(_AT_ONCE)

    async with running.client() as client:

        async def one(model: str, stream: bool) -> Heard:
            async with places:
                return await ask(client, model, stream=stream)

        return await asyncio.gather(*(one(model, stream) for model, stream in wanted))


_AT_ONCE = 24

# How a recording is replayed, by the suffix of the model's name: options of the replay server.
_WAYS: dict[str, dict[str, Any]] = {
    "": {},
    "~other": {"strict": 0},  # a whole answer to a streaming request and the reverse: another path at some providers
    "~awkward": {"frag": "awkward"},
    "~random": {"frag": "random", "seed": 7},
    "~close": {"cut": 0.5, "how": "close"},
    "~eof": {"cut": 0.5, "how": "eof"},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if not present():
        pytest.skip(ABSENT)
    with replay().ThreadedReplay(library()) as upstream:
        model_list = [
            {
                "model_name": _name(entry, way),
                "params": params(entry, upstream.base_url(entry["id"], **(options | _leniency(entry)))),
            }
            for entry in _passing()
            for way, options in _WAYS.items()
            if way in _ways(entry)
        ]
        with gateway(tmp_path_factory.mktemp("gateway"), model_list) as base:
            yield Running(base, upstream)


def _ways(entry: dict[str, Any]) -> list[str]:
    """How this one is replayed. Where one path serves both ways of asking, strictness is kept."""
    ways = list(_WAYS) if entry["streaming"] else ["", "~other", "~awkward", "~close"]
    return [way for way in ways if way != "~other" or entry["provider"] in ("gemini", "vertex", "bedrock")]


def _leniency(entry: dict[str, Any]) -> dict[str, int]:
    """InvokeModel recordings of other models than Claude are reached through Converse: another path."""
    return {"strict": 0} if entry["api"].startswith("bedrock.invoke") and "claude" not in entry["model"] else {}


def _other(entry: dict[str, Any]) -> str:
    return "~other" if "~other" in _ways(entry) else ""


def _name(entry: dict[str, Any], way: str) -> str:
    """The public model name; a short one, see `running.gateway`."""
    return f"{library().index.index(entry)}{way}"


def _passing(**wanted: Any) -> list[dict[str, Any]]:
    return [e for e in entries() if e["id"] not in EXCEPTIONS and all(e[k] == v for k, v in wanted.items())]


async def _prove(running: Running, wanted: list[tuple[dict[str, Any], str, bool]]) -> None:
    """Fail with a line for each difference between what (recording, way of replaying, streamed) says and what is heard."""
    heard = await _hear(running, [(_name(entry, way), stream) for entry, way, stream in wanted])
    lines = []
    for (entry, way, _), answer in zip(wanted, heard, strict=True):
        recording = library()[entry["id"]]
        found = differences(as_seen(said(recording)), answer.said)
        if answer.events and answer.said.failure is None:
            broken = breach(answer.events)
            if broken and not (recording.api == "openai.responses" and broken == recorded_breach(recording)):
                found.append(f"protocol: {broken}")
        lines += [f"{entry['id']}{way}: {line}" for line in found]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.slow
async def test_gateway_says_what_the_recording_says(running: Running) -> None:
    """Asked the way the recording was made: streams streamed, whole answers whole."""
    await _prove(running, [(e, "", e["streaming"]) for e in _passing()])


@pytest.mark.slow
async def test_gateway_says_the_same_when_asked_the_other_way(running: Running) -> None:
    """A host may answer a plain request with a stream, and a streaming request whole."""
    finished = [e for e in _passing() if said(library()[e["id"]]).stop != "queued"]

    await _prove(running, [(e, _other(e), not e["streaming"]) for e in finished])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["~awkward", "~random"])
async def test_gateway_does_not_mind_where_the_bytes_are_cut(running: Running, way: str) -> None:
    wanted = [(e, way, e["streaming"]) for e in _passing() if e["streaming"] or way == "~awkward"]

    await _prove(running, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["~close", "~eof"])
async def test_gateway_says_that_the_second_half_is_missing(running: Running, way: str) -> None:
    """As `failed`, whether the connection breaks or the body ends as if it were whole."""
    streams = _passing(streaming=True, status=200)

    heard = await _hear(running, [(_name(e, way), True) for e in streams])

    silent = []
    for entry, answer in zip(streams, heard, strict=True):
        expected = replace(as_seen(said(library()[entry["id"]])), tokens=None)
        if answer.said.failure is None and replace(answer.said, tokens=None) != expected:
            silent.append(entry["id"])
    assert silent == []


@pytest.mark.slow
async def test_gateway_ends_a_cut_stream_with_an_error_and_a_failed_response(running: Running) -> None:
    """As raw bytes, which the SDK does not show: it stops at the error.

    Nothing of ours is left open before the end. What a native upstream left open stays so: its frames keep their bytes.
    """
    streams = _passing(streaming=True, status=200)

    answers = await raw(running.base, [_name(e, "~close") for e in streams])

    assert sum(status == 200 for status, _ in answers) > len(streams) / 2, "half a stream is something to begin with"
    lines = []
    for entry, (status, events) in zip(streams, answers, strict=True):
        if status != 200:
            assert status >= 400
        elif entry["api"] == "openai.responses":
            if not ended(events):
                lines.append(f"{entry['id']}: ends with {[event['type'] for event in events[-2:]]}")
        elif breach(events):
            lines.append(f"{entry['id']}: {breach(events)}")
        elif events[-1]["type"] == "response.failed" and events[-1]["response"]["error"] is None:
            lines.append(f"{entry['id']}: failed without an error")
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.slow
async def test_gateway_refuses_half_of_a_whole_answer(running: Running) -> None:
    whole = [e for e in _passing(streaming=False, status=200) if len(library()[e["id"]].body) > 1]

    heard = await _hear(running, [(_name(e, "~close"), False) for e in whole])

    assert [e["id"] for e, h in zip(whole, heard, strict=True) if h.said.failure is None] == []
    assert {(h.said.failure.kind, h.said.failure.status) for h in heard if h.said.failure} == {("server_error", 502)}


def test_hardly_any_recording_is_excused() -> None:
    known = {entry["id"] for entry in entries()}

    assert set(EXCEPTIONS) <= known
    assert len(EXCEPTIONS) <= _SHARE * len(known)
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())


def test_hardly_any_native_upstream_breaks_the_law_by_itself() -> None:
    """Their frames keep their bytes, so what these recordings break (law.py says how) reaches the client."""
    broken = [e["id"] for e in _passing(api="openai.responses", streaming=True) if recorded_breach(library()[e["id"]])]

    assert len(broken) <= _SHARE * len(entries()), broken
