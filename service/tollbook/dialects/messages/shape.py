"""Values from outside in the shape that the code relies on; anything else counts as absent."""

from __future__ import annotations

from typing import Any


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [entry for entry in sequence(value) if isinstance(entry, dict)]


def string(value: Any) -> str:
    return value if isinstance(value, str) else ""
