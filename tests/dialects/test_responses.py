"""The native dialect: what passes untouched, and the little that does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.protocol import check
from tollbook.dialects import responses
from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft
from tollbook.responses.seals import seal
from tollbook.transport.frame import Frame

_BEGUN = {"id": "resp_up", "object": "response", "status": "in_progress", "model": "gpt-x", "output": [], "usage": None}
_DONE = {
    **_BEGUN,
    "status": "completed",
    "service_tier": "flex",
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 150,
    },
}


def _frame(kind: str, number: int | None, **fields: Any) -> Frame:
    numbered = {} if number is None else {"sequence_number": number}
    return Frame(kind, json.dumps({"type": kind, **numbered, **fields}).encode())


def _read(*frames: Frame) -> Draft:
    draft = Draft({"model": "m"})
    reader = responses.reader(draft, {"model": "m"})
    for frame in frames:
        reader.feed(frame)
    reader.end()
    return draft


def test_frames_keep_their_bytes_and_unknown_events_pass() -> None:
    raw = b'{ "type":"response.new_thing", "sequence_number":1, "later": [1.50] }'
    draft = _read(
        _frame("response.created", 0, response=_BEGUN),
        Frame("response.new_thing", raw),
        _frame("response.completed", 2, response=_DONE),
    )

    frames = draft.take()

    assert frames[1].raw == raw
    assert draft.response == {**_DONE}


def test_usage_is_told_in_disjoint_kinds_that_add_up() -> None:
    draft = _read(_frame("response.created", 0, response=_BEGUN), _frame("response.completed", 1, response=_DONE))

    tokens = draft.tokens

    assert (tokens.input, tokens.cache_read, tokens.cache_write) == (30, 60, 10)
    assert (tokens.output, tokens.reasoning) == (30, 20)
    assert tokens.total_tokens == 150
    assert draft.served_tier == "flex"


def test_events_without_a_number_or_with_a_wrong_one_are_numbered() -> None:
    draft = _read(
        _frame("response.created", 1, response=_BEGUN),
        _frame("response.in_progress", None, response=_BEGUN),
        _frame("response.completed", 7, response=_DONE),
    )

    check([frame.event for frame in draft.take()])


def test_the_type_is_read_from_the_data_where_the_host_leaves_the_event_line_out() -> None:
    draft = _read(
        Frame("", _frame("response.created", 0, response=_BEGUN).raw),
        Frame("", _frame("response.completed", 1, response=_DONE).raw),
        Frame("", b"[DONE]"),
    )

    assert [frame.type for frame in draft.take()] == ["response.created", "response.completed"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "code": "server_error", "message": "x"}, "overloaded"),
        ({"type": "server_error", "code": "rate_limit_exceeded", "message": "x"}, "rate_limit"),
        ({"type": "server_error", "code": "server_error", "message": "x"}, "server"),
        ({"code": "context_length_exceeded", "message": "x"}, "context_length"),
    ],
)
def test_an_error_in_the_stream_has_its_kind_and_keeps_the_usage_behind_it(error: dict[str, Any], kind: str) -> None:
    draft = Draft({"model": "m"})
    reader = responses.reader(draft, {"model": "m"})
    reader.feed(_frame("response.created", 0, response=_BEGUN))
    reader.feed(_frame("error", 1, error=error))

    with pytest.raises(UpstreamError) as caught:
        reader.feed(_frame("response.failed", 2, response={**_DONE, "status": "failed", "error": error}))

    assert caught.value.kind == kind
    assert draft.tokens.total_tokens == 150


def test_a_stream_without_its_end_is_truncated() -> None:
    with pytest.raises(UpstreamError) as caught:
        _read(_frame("response.created", 0, response=_BEGUN))

    assert caught.value.kind == "truncated"


@pytest.mark.parametrize("body", [None, [], {}, {"output": None, "status": "failed"}, {"error": "no"}, "text"])
def test_a_whole_answer_that_is_none_is_an_upstream_error(body: Any) -> None:
    reader = responses.reader(Draft({"model": "m"}), {"model": "m"})

    with pytest.raises(UpstreamError):
        reader.whole(body)


def test_reasoning_that_another_dialect_sealed_is_left_out_and_noted() -> None:
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": seal("anthropic", {"signature": "s"})}
    own = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
    request = {"model": "m", "input": [foreign, own], "unheard_of": {"kept": True}}

    written = responses.write(request, "gpt-x")

    assert written.body == {"model": "gpt-x", "input": [own], "unheard_of": {"kept": True}}
    assert list(written.notes) == ["reasoning: foreign, left out"]


def test_citations_go_back_without_what_other_dialects_added() -> None:
    citation = {
        "type": "url_citation",
        "url": "u",
        "title": "t",
        "start_index": 0,
        "end_index": 1,
        "citation": {"a": 1},
    }
    item = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "a", "annotations": [citation]}],
    }

    written = responses.write({"model": "m", "input": [item]}, "gpt-x")

    (sent,) = written.body["input"]
    assert sent["content"][0]["annotations"] == [{k: v for k, v in citation.items() if k != "citation"}]
