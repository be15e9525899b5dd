"""The law of the protocol, held against a stream; a relayed stream may break it only where its upstream did."""

from __future__ import annotations

import json
import traceback
from typing import Any

from tests.protocol import check
from tollbook.responses.replay import replay


def breach(events: list[dict[str, Any]]) -> str | None:
    """The first rule that these events break, or None."""
    try:
        check(events)
    except (AssertionError, KeyError) as broken:
        return f"{traceback.extract_tb(broken.__traceback__)[-1].line}"
    return None


def ended(events: list[dict[str, Any]]) -> bool:
    """Whether a stream is numbered without gaps and ends well, or with an error and the failed response."""
    kinds = [event["type"] for event in events]
    well = kinds[-1] in ("response.completed", "response.incomplete")
    return [event["sequence_number"] for event in events] == list(range(len(events))) and (
        well or kinds[-2:] == ["error", "response.failed"]
    )


def recorded_breach(recording: Any) -> str | None:
    """The first rule that a recorded Responses stream breaks by itself, not counting how its events are numbered.

    Real ones do: `encrypted_content` is encrypted anew for the terminal event, items stay "generating", a host leaves
    out deltas or gives each event another response id. Frames of native upstreams keep their bytes, so this stays.
    """
    if not recording.streaming:  # told as events, a whole answer breaks what its own items break
        return breach(list(replay(json.loads(recording.body))))
    events = [event for _, event in recording.events() if isinstance(event, dict)]
    return breach([{**event, "sequence_number": number} for number, event in enumerate(events)])
