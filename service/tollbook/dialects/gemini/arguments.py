"""Arguments of a call that come in fragments, each with a JSON path.

https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc: opt-in, Vertex only.
"""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class PartialArguments:
    """The arguments of the call `key`, growing."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.value: dict[str, Any] = {}
        self._continued: str | None = None

    def add(self, fragment: dict[str, Any]) -> None:
        """One fragment; a text that will continue is gone on with by the next fragment of its path."""
        path = fragment.get("jsonPath")
        name = next((name for name in _VALUES if name in fragment), None)
        if not isinstance(path, str) or name is None:
            return
        value = None if name == "nullValue" else fragment[name]
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        _put(self.value, _steps(path), value, grow=isinstance(value, str) and self._continued == path)
        self._continued = path if fragment.get("willContinue") is True else None


def _steps(path: str) -> list[str | int]:
    """ "$.a[0]['b c']" -> ["a", 0, "b c"]."""
    steps: list[str | int] = []
    for found in _STEP.finditer(path):
        name = found[1] or found[3] or found[4]
        steps.append(int(found[2]) if found[2] is not None else re.sub(r"\\(.)", r"\1", name or ""))
    return steps


def _put(root: dict[str, Any], steps: list[str | int], value: Any, *, grow: bool) -> None:
    """Set the place that `steps` lead to, making the objects and lists on the way. Nonsense is passed over."""
    node: Any = root
    for step, following in zip(steps, [*steps[1:], None], strict=False):
        fresh: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(step, int):
            if not isinstance(node, list):
                return
            # Lists are told in order: a place beyond the end is the next one, for a hole would be an invention.
            place: Any = min(step, len(node))
            known = place < len(node)
            if not known:
                node.append(fresh)
        else:
            if not isinstance(node, dict):
                return
            place, known = step, step in node
            if not known:
                node[place] = fresh
        if known and following is None:
            held = node[place]
            node[place] = held + value if grow and isinstance(held, str) else value
        node = node[place]
