"""For whom a request is made: the end user and the tags, as the client or a proxy before us tells them.

Both come from outside and go into rows, spans and metrics, so they are bounded and hold nothing unprintable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

TAG_HEADERS = ("x-tollbook-tags", "x-litellm-tags")
MOST_TAGS = 32
LONGEST_TAG = 128
LONGEST_USER = 256


def end_user(request: Mapping[str, Any], headers: Mapping[str, str], header: str | None = None) -> str | None:
    """Who stands behind the caller's key, or None.

    The configured header first - a proxy that the operator trusts sets it -, then the request's `safety_identifier`, then
    `user`, which it replaces (https://platform.openai.com/docs/api-reference/responses/create). Header names are in lower case.
    """
    told = headers.get(header.lower()) if header else None
    return next(filter(None, map(_user, (told, request.get("safety_identifier"), request.get("user")))), None)


def tags(request: Mapping[str, Any], headers: Mapping[str, str], own: Iterable[str] = ()) -> tuple[str, ...]:
    """Labels of a request: the caller's `own` (of key and team), which a client cannot push out, then `metadata.tags`, a list
    or a text with commas (metadata values are texts), then the header's.

    Each once, in order; at most 32 of at most 128 characters.
    """
    metadata = request.get("metadata")
    told = metadata.get("tags") if isinstance(metadata, Mapping) else None
    found = [tag[:LONGEST_TAG] for tag in own]
    for source in (told, *(headers.get(header) for header in TAG_HEADERS)):
        found += _split(source)
    return tuple(dict.fromkeys(found))[:MOST_TAGS]


def task(request: Mapping[str, Any]) -> str | None:
    """What the request is part of, as the client calls it in `metadata.task`; at most 128 characters."""
    metadata = request.get("metadata")
    told = metadata.get("task") if isinstance(metadata, Mapping) else None
    return _clean(told)[:LONGEST_TAG] or None


def _split(source: Any) -> Iterable[str]:
    pieces = source.split(",") if isinstance(source, str) else source if isinstance(source, (list, tuple)) else ()
    for piece in pieces[: 4 * MOST_TAGS]:
        text = _clean(piece)[:LONGEST_TAG]
        if text:
            yield text


def _user(value: Any) -> str:
    """Too long a name is cut, and told apart from others that begin alike by a piece of its hash."""
    text = _clean(value)
    if len(text) <= LONGEST_USER:
        return text
    return f"{text[: LONGEST_USER - 17]}~{sha256(text.encode()).hexdigest()[:16]}"


def _clean(value: Any) -> str:
    """Printable text: no control characters, no lone surrogates (neither UTF-8 nor a database takes them)."""
    if not isinstance(value, str):
        return ""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in value.strip())
