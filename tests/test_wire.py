"""JSON from outside: what two parsers could read differently is refused, everything else is read as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tollbook.transport.wire import decode, decode_strict, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)
# Texts that look like keys to a regular expression.
TRICKY = st.sampled_from(['":', '"a":', '\\":', '\\\\":', '{"a":1,"a":2}', '"', "\\", '" :', '"\n:'])
ANY = st.recursive(VALUES | TRICKY, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT | TRICKY, v, max_size=3))


@given(ANY, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_what_json_can_say_is_read_as_it_was_meant(value: Any, escaped: bool, indent: int | str | None) -> None:
    raw = json.dumps(value, ensure_ascii=escaped, indent=indent).encode()

    assert decode_strict(raw) == value
    assert decode_strict(encode(value)) == value


@given(ANY, TEXT | TRICKY, VALUES, VALUES, st.integers(0, 3))
@example({}, "a", 1, 1, 0)
def test_a_duplicate_key_is_refused_wherever_it_is(value: Any, key: str, one: Any, two: Any, depth: int) -> None:
    name = json.dumps(key)
    raw = f'{{{name}: {json.dumps(one)}, "other {depth}": {json.dumps(value)}, {name} : {json.dumps(two)}}}'
    for _ in range(depth):
        raw = f'[{{"x": {raw}}}]'

    with pytest.raises(ValueError, match="duplicate key"):
        decode_strict(raw.encode())


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"model":1,"mode\u006c":2}',
        rb'{"\u0061":1,"a":2}',
        b'{"a"\n:1,"a"\t:2}',
        b'{"":1,"":2}',
        b'[{"a":{"b":1,"b":1}}]',
    ],
)
def test_a_duplicate_is_seen_through_escapes_and_blanks(raw: bytes) -> None:
    with pytest.raises(ValueError, match="duplicate key"):
        decode_strict(raw)


@given(ANY, TEXT, TEXT, st.booleans())
def test_nul_is_refused_in_texts_and_in_keys(value: Any, before: str, after: str, as_key: bool) -> None:
    text = f"{before}\0{after}"
    holder = {text: value} if as_key else [value, {"a": text}]

    with pytest.raises(ValueError, match="NUL"):
        decode_strict(json.dumps(holder).encode())


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert decode_strict(rb'{"a":"\\u0000"}') == {"a": "\\u0000"}


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b"{", b"[1,]", b'{"a":1,}', b"nul", b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"01", b"'a'",
        rb'"\ud800"', rb'"\udc00\ud800"', rb'"\uD83D"', b'"\xed\xa0\x80"', b'"\xff"', b'"\xc0\x80"', b"\xef\xbb\xbf{}",
        b'"\x00"', b'"\n"', b"{} {}", b"[" * 100_000, b'{"a":' * 100_000, b"{'a':1}", b'{"a" 1}', b"\x00\x00\x00{",
    ],
)  # fmt: skip
def test_what_is_no_json_is_a_value_error(raw: bytes) -> None:
    for read in (decode, decode_strict):
        with pytest.raises(ValueError):  # noqa: PT011 - the words are the parser's own
            read(raw)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    try:
        decode_strict(raw)
    except ValueError:
        return
    json.loads(raw)


def test_numbers_keep_their_value() -> None:
    assert decode_strict(b"[1, 1.0, 1e3, 0.1, -0, 123456789012345678901234567890, 1e-400]") == [
        1, 1.0, 1000.0, 0.1, 0, 123456789012345678901234567890, 0.0,
    ]  # fmt: skip


def test_as_many_keys_as_a_large_request_has_are_read() -> None:
    value = [{"a": {"type": "x", "text": '{"a":1,"a":2}'}} for _ in range(20_000)]

    assert decode_strict(encode(value)) == value


@pytest.mark.parametrize("depth", range(100, 2000, 50))
def test_nesting_is_read_or_refused_at_every_depth(depth: int) -> None:
    raw = b'{"a":' * depth + b"[]" + b"}" * depth
    try:
        value = decode_strict(raw)
    except ValueError:
        assert depth > 500
    else:
        assert list(value) == ["a"]
