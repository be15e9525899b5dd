"""Each test has its own environment, and leaves none of its Routers behind."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tollbook.functions import everywhere

FOREIGN = ("TOLLBOOK_", "OTEL_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "VERTEXAI_", "AWS_", "AZURE_", "GOOGLE_")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Without credentials or settings of the developer's; what a test or its code sets is gone afterwards."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(FOREIGN):
            del os.environ[name]
    yield
    everywhere.close()
    os.environ.clear()
    os.environ.update(before)
