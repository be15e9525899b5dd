"""What a provider says of waiting, in seconds."""

from __future__ import annotations

import pytest

from tollbook.dialects.waiting import retry_after

_NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17.0),
        ({"Retry-After": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "17", "retry-after-ms": "16500"}, 16.5),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT", "date": _NOW}, 10.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:27 GMT", "date": _NOW}, 0.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT"}, None),
        ({"retry-after": "soon", "date": _NOW}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_seconds_dates_and_nonsense(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
