"""One scriptable upstream for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.upstream import Upstream

from . import faults


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        server.scripts.update(faults.SCRIPTS)
        yield server
