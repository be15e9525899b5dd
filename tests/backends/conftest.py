from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import programs
from .recorded import history

_MISSING = "the programs are not built: tests/backends/build.sh (needs Go)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the programs, what needs them is skipped and says so. All that needs them runs in one worker: one stack."""
    here = [item for item in items if item.get_closest_marker("backends") is not None]
    skipped = pytest.mark.skip(reason=_MISSING) if here and programs.folder() is None else None
    for item in here:
        item.add_marker(pytest.mark.xdist_group("backends"))
        if skipped is not None:
            item.add_marker(skipped)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[programs.Stack]:
    """Collector, Jaeger and Prometheus with two recorded weeks."""
    with programs.stack(tmp_path_factory.mktemp("stack"), history) as found:
        yield found
