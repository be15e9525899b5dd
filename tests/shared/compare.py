"""Where an answer differs from what the recording says."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from .oracle import Said

_LONGEST = 160


def differences(expected: Said, found: Said) -> list[str]:
    """One line for each difference; none when the answer says all that the recording says."""
    if expected.failure is not None and expected.failure.status is not None:
        return _failures(expected, found)
    lines = []
    if "<think>" in expected.text and "<think>" not in found.text:
        expected = _without_tags(expected)  # a host whose template writes its reasoning into the text
    for name in ("text", "reasoning", "calls", "stop"):
        wanted, got = getattr(expected, name), getattr(found, name)
        if wanted != got:
            lines.append(f"{name}: said {_short(wanted)}, heard {_short(got)}")
    missing = expected.citations - found.citations
    if missing:
        lines.append(f"citations: not named: {_short(sorted(missing))}; heard {_short(sorted(found.citations))}")
    if (expected.refusal is None) != (found.refusal is None) or (
        expected.refusal and expected.refusal != found.refusal
    ):
        lines.append(f"refusal: said {_short(expected.refusal)}, heard {_short(found.refusal)}")
    wanted_tokens, found_tokens = expected.tokens, found.tokens
    if wanted_tokens is not None and wanted_tokens.cached is None and found_tokens is not None:
        found_tokens = replace(found_tokens, cached=None)
    if wanted_tokens is not None and wanted_tokens != found_tokens:
        lines.append(f"tokens: said {expected.tokens}, heard {found.tokens}")
    for sort, count in expected.hosted.items():
        if found.hosted.get(sort, 0) != count:
            lines.append(f"hosted {sort}: said {count}, heard {found.hosted.get(sort, 0)}")
    if expected.truncated:
        if found.failure is None or found.failure.kind != "truncated":
            lines.append(f"a cut stream: heard {found.failure}")
    elif expected.failure is not None or found.failure is not None:
        lines += _failures(expected, found)
    return lines


def _without_tags(said: Said) -> Said:
    """What `<think>` tags at the beginning of a text hold is reasoning."""
    found = re.fullmatch(r"\s*<think>(.*?)(?:</think>\s*(.*))?", said.text, re.DOTALL)
    if found is None:
        return said
    return replace(said, reasoning=said.reasoning + found[1].strip(), text=found[2] or "")


def _failures(expected: Said, found: Said) -> list[str]:
    if expected.failure is None or found.failure is None:
        return [f"failure: said {_short(expected.failure)}, heard {_short(found.failure)}"]
    lines = []
    if expected.failure.kind != found.failure.kind:
        lines.append(f"failure kind: said {expected.failure}, heard {found.failure}")
    if None not in (expected.failure.status, found.failure.status) and expected.failure.status != found.failure.status:
        lines.append(f"failure status: said {expected.failure}, heard {found.failure}")
    if expected.failure.message not in found.failure.message:
        lines.append(f"failure message: said {_short(expected.failure.message)}, heard {_short(found.failure.message)}")
    return lines


def _short(value: Any) -> str:
    text = repr(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST * 2 // 3]} ... {text[-_LONGEST // 3 :]} ({len(text)} characters)"
