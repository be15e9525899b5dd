"""Names in which * stands for anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.access.keys import unmatched
from tollbook.access.patterns import closest, fits, meet

patterns = st.text("ab*", max_size=6)
names = st.text("ab", max_size=8)


@given(patterns, names)
def test_two_patterns_meet_in_every_name_that_fits_both(pattern: str, name: str) -> None:
    assert meet(pattern, name) is fits((pattern,), name)


@given(patterns, patterns, names)
def test_patterns_that_do_not_meet_have_no_name_in_common(first: str, second: str, name: str) -> None:
    assert meet(first, second) is meet(second, first)
    if fits((first,), name) and fits((second,), name):
        assert meet(first, second)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("gpt*", "gpt-5", True),
        ("gpt-*-mini", "openai/*", False),
        ("openai/gpt*", "openai/*", True),
        ("*-mini", "gpt*", True),
        ("aaa*", "*baa", True),
        ("gpt-4", "gpt-5", False),
        ("", "*", True),
        ("", "a", False),
    ],
)
def test_patterns_meet_if_some_name_fits_both(first: str, second: str, together: bool) -> None:
    assert meet(first, second) is together


def test_a_pattern_that_no_model_fits_is_found() -> None:
    assert unmatched(["gpt*", "claud-*", "openai/o*"], ["gpt", "claude", "openai/*"]) == ["claud-*"]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("alice", "alice"), ("alan", "al*"), ("bob", "*"), ("a*", "a*")],
)
def test_the_pattern_that_says_the_most_is_the_closest(name: str, pattern: str) -> None:
    assert closest(["*", "a*", "al*", "alice"], name) == pattern
    assert closest(["x*"], name) is None
