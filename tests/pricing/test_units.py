"""What some prices count beside tokens, counted by us: pictures, characters, pages and time."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.responses.usage import LONG_WRITES, UNITS, cache_lifetimes
from tollbook.units import count_units

MESSAGE = {
    "type": "message",
    "role": "user",
    "content": [
        {"type": "input_text", "text": "Grüße"},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "input_image", "file_id": "file_1"},
    ],
}
RESULT = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": "data:…"}]}
ANSWER = {
    "output": [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "not counted"}],
            "content": [{"text": "nor this"}],
        },
        {
            "type": "message",
            "content": [{"type": "output_text", "text": "12345"}, {"type": "refusal", "refusal": "no"}],
        },
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "image_generation_call", "result": "iVBORw0…"},
        {"type": "image_generation_call", "result": None},
    ]
}


def counted(*units: str, items: Any = (), response: Any = None, request: Any = None, took: int = 0) -> dict[str, int]:
    return count_units(units, request or {}, items, response or {}, took)


def test_pictures_are_counted_wherever_they_are_sent() -> None:
    assert counted("input_image_count", items=[MESSAGE, RESULT]) == {"input_image_count": 3}
    assert counted("output_image_count", response=ANSWER) == {"output_image_count": 1}


def test_characters_are_code_points_of_what_is_said() -> None:
    said = {"type": "message", "content": "plain"}

    assert counted("input_characters", items=[MESSAGE, said], request={"instructions": "Be."}) == {
        "input_characters": 5 + 5 + 3
    }
    assert counted("output_characters", response=ANSWER) == {"output_characters": 5 + 2 + 2}


@pytest.mark.parametrize(("took", "milliseconds"), [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2), (-5, 0)])
def test_a_millisecond_that_has_begun_is_counted(took: int, milliseconds: int) -> None:
    assert counted("milliseconds", took=took) == {"milliseconds": milliseconds}


def pdf(*objects: bytes) -> str:
    body = (
        b"%PDF-1.7\n" + b"\n".join(b"%d 0 obj\n%s\nendobj" % (n, one) for n, one in enumerate(objects, 1)) + b"\n%%EOF"
    )
    return "data:application/pdf;base64," + base64.b64encode(body).decode()


def file(data: Any) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "input_file", "filename": "a.pdf", "file_data": data}]}


TREE = b"<< /Type /Pages /Kids [2 0 R 5 0 R] /Count 12 >>"
BRANCH = b"<</Count 4/Kids[3 0 R]/Parent 1 0 R/Type/Pages>>"
PAGE = b"<< /Type /Page /Parent 1 0 R >>"


def folded(*objects: bytes) -> bytes:
    content = zlib.compress(b" ".join(objects))
    return b"<< /Type /ObjStm /N 2 /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


@pytest.mark.parametrize("objects", [[TREE, BRANCH, PAGE], [BRANCH, TREE], [folded(TREE, BRANCH), PAGE]])
def test_the_pages_of_a_pdf_are_those_of_the_root_of_its_tree(objects: list[bytes]) -> None:
    assert counted("input_pages", items=[file(pdf(*objects))]) == {"input_pages": 12}


def test_pages_of_several_documents_add_up() -> None:
    assert counted("input_pages", items=[file(pdf(TREE)), file(pdf(BRANCH))]) == {"input_pages": 16}
    assert counted("input_pages", items=[MESSAGE]) == {"input_pages": 0}


@pytest.mark.parametrize(
    "data", [None, 7, "", "not base64!", base64.b64encode(b"PK a document").decode(), pdf(PAGE), pdf(folded()[:60])]
)
def test_a_document_whose_pages_nobody_can_count_is_not_one_of_no_pages(data: Any) -> None:
    assert counted("input_pages", items=[file(data), file(pdf(TREE))]) == {}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_document_or_none(content: bytes) -> None:
    counted("input_pages", items=[file(base64.b64encode(b"%PDF-1.4" + content).decode())])


def test_only_what_is_wanted_is_counted() -> None:
    assert counted(items=[MESSAGE], response=ANSWER) == {}
    assert set(counted(*UNITS, items=[MESSAGE], response=ANSWER)) == set(UNITS)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (None, (0, 0)),
        ("x", (0, 0)),
        ({"ephemeral_5m_input_tokens": 9, "ephemeral_30m_input_tokens": 9}, (0, 0)),
        ({"ephemeral_5m_input_tokens": 9, "ephemeral_1h_input_tokens": 4}, (4, 0)),
        ({"ephemeral_60m_input_tokens": 4, "ephemeral_24h_input_tokens": 3, "ephemeral_7d_input_tokens": 2}, (9, 5)),
        ({"ephemeral_1h_input_tokens": -4, "ephemeral_12h_input_tokens": None, "x": 5, 7: 7}, (0, 0)),
    ],
)
def test_cache_writes_are_told_apart_by_how_long_they_are_kept(told: Any, found: tuple[int, int]) -> None:
    assert cache_lifetimes(told) == found


def test_dialects_tell_the_longest_lives() -> None:
    from tollbook.dialects.chat.tokens import read_usage as chat
    from tollbook.dialects.messages.read import _tokens as messages
    from tollbook.dialects.responses import read_usage as native

    lives = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20, "ephemeral_24h_input_tokens": 30}
    of_chat = chat({"prompt_tokens": 100, "cache_creation_input_tokens": 60, "cache_creation": lives}, {})
    of_messages = messages({"input_tokens": 40, "cache_creation_input_tokens": 60, "cache_creation": lives})
    details = {"cache_write_tokens": 60, "cache_write_tokens_details": {"ttl_12h_tokens": 30, "ttl_30m_tokens": 30}}
    of_native = native({"usage": {"input_tokens": 100, "input_tokens_details": details}})

    for usage in (of_chat, of_messages):
        assert (usage.input_tokens, usage.cache_write, usage.cache_write_1h) == (100, 10, 50)
        assert usage.units == {LONG_WRITES: 30}
    assert (of_native.input_tokens, of_native.cache_write, of_native.cache_write_1h) == (100, 30, 30)
    assert of_native.units == {LONG_WRITES: 30}


def test_a_search_is_paid_for_and_looking_at_a_page_is_not() -> None:
    from tollbook.dialects.responses import read_usage

    calls = [{"type": "web_search_call", "action": {"type": kind}} for kind in ("search", "open_page", "find_in_page")]
    response = {"usage": {"input_tokens": 1}, "output": [*calls, {"type": "web_search_call"}]}

    assert read_usage(response).tools == {"web_search": 2}
    assert read_usage({**response, "tool_usage": {"web_search": {"num_requests": 1}}}).tools == {"web_search": 1}
    assert read_usage({**response, "tool_usage": {"web_search": {"num_requests": 0}}}).tools == {}
    assert read_usage({**response, "tool_usage": {"web_search": None}}).tools == {"web_search": 2}


def test_a_picture_that_a_tool_drew_is_something_used() -> None:
    from tollbook.dialects.responses import read_usage

    assert read_usage({"usage": {}, "output": [{"type": "image_generation_call"}]}).tools == {"image_generation": 1}
