"""Keys on disk and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tollbook.access import Keys
from tollbook.errors import Unauthenticated
from tollbook.storage.keys import KeyTable

MASTER_KEY = "sk-the-master-key"


@pytest.fixture(params=["disk", "memory"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyTable]:
    table = KeyTable(tmp_path if request.param == "disk" else None)
    yield table
    table.close()


@pytest.fixture
def keys(table: KeyTable) -> Iterator[Keys]:
    keys = Keys(table, master_key=MASTER_KEY)
    yield keys
    keys.close()


def refused(keys: Keys, secret: str) -> bool:
    """Whether nobody is let in with a secret."""
    try:
        keys.authenticate(secret)
    except Unauthenticated:
        return True
    return False
