"""Skips this package, with the reason, where the shared recordings are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from .library import ABSENT, present

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.recordings)
            if not present():
                item.add_marker(pytest.mark.skip(reason=ABSENT))
