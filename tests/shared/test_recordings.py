"""Every recording says through Tollbook what it says by itself.

    pytest tests/shared/test_recordings.py -k "reader and anthropic"    one dialect or provider, in this process
    pytest tests/shared/test_recordings.py -k reader --tb=line -q        all of them: about 1,200 recordings
    pytest tests/shared/test_recordings.py -k gateway                    all through a running gateway and the OpenAI SDK

The expectation comes from `oracle.said`, which reads the recorded bytes without any code of the product.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from .compare import differences
from .exceptions import EXCEPTIONS
from .hearing import hear
from .law import breach, recorded_breach
from .library import entries, library
from .oracle import said

_SHARE = 0.02


def _parameters(**wanted: Any) -> list[Any]:
    chosen = [e for e in entries() if all(e[k] == v for k, v in wanted.items())]
    excused = {i: pytest.mark.xfail(strict=True, reason=reason) for i, reason in EXCEPTIONS.items()}
    return [pytest.param(e["id"], id=e["id"], marks=[excused[e["id"]]] if e["id"] in excused else []) for e in chosen]


@pytest.mark.parametrize("recording_id", _parameters())
def test_reader_says_what_the_recording_says(recording_id: str) -> None:
    """Streamed answers keep the law of the protocol; whole answers say the same to a client that streams."""
    recording = library()[recording_id]
    expected = said(recording)

    heard = hear(recording)

    assert differences(expected, heard.said) == []
    if heard.events and breach(heard.events):
        assert recording.api == "openai.responses"
        assert breach(heard.events) == recorded_breach(recording)
    assert differences(expected, hear(recording, stream=False).said) == []


@pytest.mark.parametrize("recording_id", _parameters(streaming=True, status=200))
@pytest.mark.parametrize("fragments", ["awkward", "random", "byte"])
def test_reader_does_not_mind_where_the_bytes_are_cut(recording_id: str, fragments: str) -> None:
    recording = library()[recording_id]
    expected = said(recording)

    heard = hear(recording, fragments)

    assert differences(expected, heard.said) == []


@pytest.mark.parametrize("recording_id", _parameters(streaming=True, status=200))
def test_reader_says_that_the_second_half_is_missing(recording_id: str) -> None:
    recording = library()[recording_id]

    expected = said(recording)

    heard = hear(recording, share=0.5)

    assert expected.text.startswith(heard.said.text)
    if heard.said.stop == "error":
        assert heard.said.failure is not None
    else:  # all of the answer had come; what was cut is only a report about it
        assert replace(expected, tokens=None) == replace(heard.said, tokens=None)


def test_hardly_any_recording_is_excused() -> None:
    known = {entry["id"] for entry in entries()}

    assert set(EXCEPTIONS) <= known
    assert len(EXCEPTIONS) <= _SHARE * len(known)
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())
