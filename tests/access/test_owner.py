"""End users and tags: what comes from outside is bounded and printable."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.access import end_user, tags

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("request_", "headers", "user"),
    [
        ({}, {}, None),
        ({"user": "ann"}, {}, "ann"),
        ({"safety_identifier": "safe", "user": "ann"}, {}, "safe"),
        ({"safety_identifier": None, "user": "ann"}, {}, "ann"),
        ({"safety_identifier": "", "user": "ann"}, {}, "ann"),
        ({"user": "ann"}, {"x-user": "proxy"}, "proxy"),
        ({"user": "ann"}, {"x-user": " "}, "ann"),
        ({"user": 7}, {}, None),
        ({"user": {"id": "ann"}}, {}, None),
    ],
)
def test_the_trusted_header_comes_first_then_the_newer_parameter(
    request_: dict[str, Any], headers: dict[str, str], user: str | None
) -> None:
    assert end_user(request_, headers, "X-User") == user


def test_a_header_counts_only_if_it_is_configured() -> None:
    assert end_user({}, {"x-user": "anybody"}) is None


def test_long_users_that_begin_alike_stay_two() -> None:
    one, two = (end_user({"user": "a" * 1000 + last}, {}) for last in "12")

    assert one is not None
    assert two is not None
    assert one != two
    assert len(one) == len(two) == 256


@pytest.mark.parametrize(
    ("request_", "headers", "expected"),
    [
        ({}, {}, ()),
        ({"metadata": {"tags": ["a", "b", "a"]}}, {}, ("a", "b")),
        ({"metadata": {"tags": "a, b,,"}}, {}, ("a", "b")),
        ({"metadata": {"tags": ["a"]}}, {"x-tollbook-tags": "b,a", "x-litellm-tags": "c"}, ("a", "b", "c")),
        ({"metadata": None}, {}, ()),
        ({"metadata": "tags"}, {}, ()),
        ({"metadata": {"tags": {"a": 1}}}, {}, ()),
        ({"metadata": {"tags": [1, None, ["x"], "a"]}}, {}, ("a",)),
    ],
)
def test_tags_come_from_metadata_and_headers_each_once(
    request_: dict[str, Any], headers: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert tags(request_, headers) == expected


def test_tags_are_bounded() -> None:
    found = tags({"metadata": {"tags": [f"{number:04}" + "x" * 500 for number in range(1000)]}}, {})

    assert len(found) == 32
    assert {len(tag) for tag in found} == {128}


@given(safety=ANYTHING, user=ANYTHING, header=st.text(), metadata=ANYTHING, told=ANYTHING)
def test_whatever_comes_in_is_printable_and_bounded(
    safety: Any, user: Any, header: str, metadata: Any, told: Any
) -> None:
    request = {"safety_identifier": safety, "user": user, "metadata": metadata}

    who = end_user(request, {"x-user": header}, "x-user")
    labels = (*tags(request, {"x-tollbook-tags": header}), *tags({"metadata": {"tags": told}}, {}))

    for text, longest in [(who or "-", 256), *((label, 128) for label in labels)]:
        assert 0 < len(text) <= longest
        assert text.isprintable()
        assert text.encode("utf-8")
