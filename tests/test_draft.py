"""The protocol, whatever a dialect tells: every sequence of facts becomes a lawful stream and the same whole response."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import protocol
from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft
from tollbook.responses.fold import fold
from tollbook.responses.types import Request
from tollbook.responses.usage import Usage

REQUEST: Request = {
    "model": "m",
    "tools": [
        {"type": "function", "name": "look", "parameters": {"type": "object"}},
        {"type": "custom", "name": "write"},
        {"type": "namespace", "name": "space", "tools": [{"type": "function", "name": "fly"}]},
    ],
}

Fact = Callable[[Draft], None]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = st.sampled_from(["a", "b", "c", 0])
NAMES = st.sampled_from(["look", "write", "fly", "unknown"])
HOSTED = st.sampled_from(["web_search_call", "code_interpreter_call", "image_generation_call", "mcp_call", "odd_call"])
CITED = {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 1}

FACTS: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just("text"), TEXTS),
    st.tuples(st.just("refusal"), TEXTS),
    st.tuples(st.just("reasoning"), TEXTS),
    st.tuples(st.just("summary"), TEXTS, st.booleans()),
    st.tuples(st.just("seal"), TEXTS, st.booleans()),
    st.tuples(st.just("annotation")),
    st.tuples(st.just("call"), KEYS, NAMES),
    st.tuples(st.just("arguments"), KEYS, st.sampled_from(['{"input":', '"x"', "}", "{}", "", "rubbish", "é🐦"])),
    st.tuples(st.just("item"), KEYS, HOSTED),
    st.tuples(st.just("close"), KEYS, st.sampled_from(["completed", "failed"])),
    st.tuples(st.just("usage"), st.integers(0, 9)),
    st.tuples(st.just("begin")),
    st.tuples(st.just("served"), st.sampled_from(["other", ""])),
)
ENDS = st.sampled_from(["stop", "tool_calls", "length", "content_filter", "cut", "fail"])


def tell(draft: Draft, facts: list[tuple[Any, ...]], end: str) -> None:
    """What a dialect would tell; a key is used again only after it was closed."""
    numbers = itertools.count()
    draft.begin()
    for verb, *told in facts:
        match verb:
            case "summary":
                draft.summary(told[0], new_part=told[1])
            case "seal":
                draft.seal(told[0], apart=told[1])
            case "annotation":
                draft.annotation(dict(CITED))
            case "call":
                draft.close(told[0])
                draft.call(told[0], call_id=f"call_{next(numbers)}", name=told[1])
            case "item":
                draft.close(told[0])
                draft.item(told[0], {"type": told[1]})
            case "close":
                draft.close(told[0], status=told[1])
            case "usage":
                draft.usage(Usage(input=told[0], output=told[0]))
            case "served":
                draft.served(model=told[0])
            case _:
                getattr(draft, verb)(*told)
    if end == "fail":
        draft.fail(UpstreamError("it broke", "server"))
    elif end == "cut":
        with pytest.raises(UpstreamError) as cut:
            draft.end()
        draft.fail(cut.value)
    else:
        draft.stop(end)  # type: ignore[arg-type]
        draft.end()


def made(facts: list[tuple[Any, ...]], end: str, *, stream: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Events as they leave the gateway, and the response."""
    draft = Draft(REQUEST, response_id="resp_" + "0" * 32, model="m", created_at=7, clock=lambda: 8.0, stream=stream)
    tell(draft, facts, end)
    return [json.loads(frame.raw) for frame in draft.take()], draft.response


@settings(max_examples=300, deadline=None)
@given(st.lists(FACTS, max_size=25), ENDS)
def test_any_sequence_of_facts_is_a_lawful_stream(facts: list[tuple[Any, ...]], end: str) -> None:
    events, response = made(facts, end, stream=True)

    final = protocol.check(events)
    assert final == json.loads(json.dumps(response))
    assert final["status"] == {
        "length": "incomplete",
        "content_filter": "incomplete",
        "cut": "failed",
        "fail": "failed",
    }.get(end, "completed")
    incomplete = [index for index, item in enumerate(final["output"]) if item["status"] == "incomplete"]
    assert incomplete in ([], [len(final["output"]) - 1]), "only the last item may be incomplete"
    assert len({item["id"] for item in final["output"]}) == len(final["output"])


@settings(max_examples=300, deadline=None)
@given(st.lists(FACTS, max_size=25), ENDS)
def test_a_draft_that_is_not_streamed_makes_the_same_response(facts: list[tuple[Any, ...]], end: str) -> None:
    silent, whole = made(facts, end, stream=False)
    _, streamed = made(facts, end, stream=True)

    assert silent == []
    assert whole == streamed


@settings(max_examples=100, deadline=None)
@given(st.lists(FACTS, max_size=15), ENDS, st.data())
def test_every_beginning_of_a_stream_folds_without_breaking(
    facts: list[tuple[Any, ...]], end: str, data: st.DataObject
) -> None:
    events, response = made(facts, end, stream=True)
    place = data.draw(st.integers(0, len(events)))

    part = fold(events[:place])

    assert len(part["output"]) <= len(response["output"])
    assert fold(events) == json.loads(json.dumps(response))


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=10))
def test_however_a_text_is_cut_it_is_one_part(pieces: list[str]) -> None:
    events, response = made([("text", piece) for piece in pieces], "stop", stream=True)

    (item,) = response["output"]
    (part,) = item["content"]
    assert part["text"] == "".join(pieces)
    assert [e["delta"] for e in events if e["type"] == "response.output_text.delta"] == pieces


def test_a_draft_ends_once() -> None:
    draft = Draft(REQUEST, response_id="resp_x")
    tell(draft, [("text", "x")], "stop")
    before = draft.take()

    draft.fail(UpstreamError("too late", "server"))
    draft.end()

    assert draft.take() == []
    assert before[-1].type == "response.completed"
    assert draft.error is None


@pytest.mark.parametrize("response", [{}, {"id": 3}, {"id": "r", "output": "x"}, {"id": "r", "output": [None]}])
def test_what_a_native_upstream_calls_a_response_must_be_one(response: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError):
        Draft(REQUEST).adopt(response)
