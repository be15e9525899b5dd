"""What the gateway sends is what the vendor's own client sent, field by field, for every recording with its request.

    pytest tests/shared/test_requests.py -k gemini

Differences are either mended or explained (explained.py). Requests that Responses cannot express, and those that a
dialect refuses, are told with the reason.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tollbook.errors import InvalidRequest, Unsupported

from .deployments import endpoint
from .exceptions import EXCEPTIONS
from .explained import EXPLAINED, STORIES, family, unexplained
from .express import Inexpressible, express
from .library import entries, library, replay
from .spelling import spelled

_INEXPRESSIBLE = 0.08
"""At most this share of the known requests."""

# What a dialect refuses, by the names that it gives in the error.
REFUSED: dict[str, str] = {
    r"tools\[\d+\]\.type=openrouter:\w+": "a server tool of OpenRouter's own; Responses' web_search stands for it",
}


def _known() -> list[dict[str, Any]]:
    return [
        e
        for e in entries()
        if e["request_known"] and e["id"] not in EXCEPTIONS and isinstance(library()[e["id"]].request_json, dict)
    ]


def _parameters() -> list[Any]:
    return [pytest.param(e["id"], id=e["id"]) for e in _known()]


@pytest.mark.parametrize("recording_id", _parameters())
def test_the_request_is_what_the_vendors_client_sent(recording_id: str) -> None:
    recording = library()[recording_id]
    place = endpoint(recording_id)
    story = next((reason for start, reason in STORIES.items() if recording_id.startswith(start)), None)
    if story is not None:
        pytest.skip(f"differs as a whole: {story}")
    try:
        request = express(recording, place.dialect)
    except Inexpressible as reason:
        pytest.skip(f"not expressible: {reason}")

    try:
        body = place.dialect.write(request, recording.model or "a-model").body
    except Unsupported as refusal:
        unknown = [name for name in refusal.params if not any(re.fullmatch(pattern, name) for pattern in REFUSED)]
        if unknown:
            raise
        pytest.skip(f"refused: {refusal.message}")

    assert unexplained(recording, place.adjust(body) if place.adjust else body) == []


def test_nearly_every_request_is_expressible() -> None:
    known = _known()
    if not known:
        pytest.skip("the shared recordings are absent")
    lost: dict[str, list[str]] = {}
    for entry in known:
        try:
            express(library()[entry["id"]], endpoint(entry["id"]).dialect)
        except Inexpressible as reason:
            lost.setdefault(str(reason), []).append(entry["id"])

    assert sum(map(len, lost.values())) <= _INEXPRESSIBLE * len(known), {why: len(ids) for why, ids in lost.items()}


def test_every_explanation_is_needed() -> None:
    """A row that explains nothing any more goes away."""
    if not entries():
        pytest.skip("the shared recordings are absent")
    used: set[tuple[str, str]] = set()
    for entry in _known():
        recording, place = library()[entry["id"]], endpoint(entry["id"])
        try:
            body = place.dialect.write(express(recording, place.dialect), recording.model or "a-model").body
        except (Inexpressible, InvalidRequest):
            continue
        body = place.adjust(body) if place.adjust else body
        name = family(recording.api)
        names = [name, f"{name}@{recording.provider}"]
        for path, _, _ in replay().diff_json(
            spelled(recording.api, recording.request_json), spelled(recording.api, body)
        ):
            there = re.sub(r"\[\d+\]", "[]", path)
            used |= {(n, row) for n in names for row in EXPLAINED.get(n, {}) if re.fullmatch(row, there)}

    assert {(name, pattern) for name, table in EXPLAINED.items() for pattern in table} - used == set()
