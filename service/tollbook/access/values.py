"""What people may say of keys, teams and budgets: each value checked, each mistake named by its parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tollbook.errors import InvalidRequest

LONGEST_NAME = 200
MOST = 500
"""Patterns or tags of a key or team."""
LARGEST = 2**53
"""Of a count: what every reader of JSON can hold."""


def name(value: Any, param: str) -> str:
    """1 to 200 printable characters, without the blanks around them."""
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME or not value.isprintable():
        raise InvalidRequest(f"{param} must be 1 to {LONGEST_NAME} printable characters.", param=param)
    return value.strip()


def name_or_none(value: str | None, param: str) -> str | None:
    return None if value is None else name(value, param)


def names(values: Sequence[str], param: str, what: str) -> tuple[str, ...]:
    """A list of names, each once."""
    if len(values) > MOST:
        raise InvalidRequest(f"There cannot be more than {MOST} {what}.", param=param)
    return tuple(dict.fromkeys(name(value, param) for value in values))


def count(value: Any, param: str) -> int | None:
    """A whole number from 1 on, or None for no limit."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise InvalidRequest(f"{param} must be a whole number from 1 on.", param=param, code="invalid_value")
    return value


def one_of(value: Any, words: Sequence[str], param: str) -> Any:
    """One of these words."""
    if value not in words:
        raise InvalidRequest(f"{param} must be one of {', '.join(words)}.", param=param, code="invalid_value")
    return value
