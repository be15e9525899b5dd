"""How long a provider asks to wait, from the headers of its refusal."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, never negative; None when nothing (intelligible) was said.

    `retry-after` is a number of seconds or a date (RFC 9110 §10.2.3), which counts from the answer's own `date`: no clock is
    read here. `retry-after-ms` is OpenAI's and more exact.
    """
    said = {name.lower(): value.strip() for name, value in headers.items()}
    exact, text = _number(said.get("retry-after-ms")), said.get("retry-after")
    if exact is not None:
        return exact / 1000
    number = _number(text)
    if number is not None or not text:
        return number
    try:
        then, now = parsedate_to_datetime(text), parsedate_to_datetime(said.get("date", ""))
        return max((then - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(number, 0.0) if number == number else None  # noqa: PLR0124 - NaN is no time
