"""The law of the protocol, held against a stream; a relayed stream may break it only where its upstream did."""

from __future__ import annotations

import traceback
from typing import Any

from tests.protocol import check


def breach(events: list[dict[str, Any]]) -> str | None:
    """The first rule that these events break, or None."""
    try:
        check(events)
    except (AssertionError, KeyError) as broken:
        return f"{traceback.extract_tb(broken.__traceback__)[-1].line}"
    return None


def recorded_breach(recording: Any) -> str | None:
    """The first rule that a recorded Responses stream breaks by itself, not counting how its events are numbered.

    Real ones do: `encrypted_content` is encrypted anew for the terminal event, items stay "generating", a host leaves
    out deltas or gives each event another response id. Frames of native upstreams keep their bytes, so this stays.
    """
    events = [event for _, event in recording.events() if isinstance(event, dict)]
    return breach([{**event, "sequence_number": number} for number, event in enumerate(events)])
