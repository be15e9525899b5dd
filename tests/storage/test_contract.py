"""Each way to get a store keeps each rule of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tollbook.storage import Store, connect_store, open_store
from tollbook.storage.local import LocalStore
from tollbook.storage.remote import RecorderServer

from .contract import RULES


@pytest.fixture(params=["memory", "directory", "tables", "remote"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "remote":
        server = RecorderServer(tmp_path)
        await server.start()
        made = connect_store(tmp_path, worker="1")
        yield made
        await made.close()
        await server.close()
    elif request.param == "tables":  # with no recent turns in memory
        made = LocalStore(tmp_path, worker="0", retention_days=None, content=True, recent=0)
        yield made
        await made.close()
    else:
        made = open_store(tmp_path if request.param == "directory" else None)
        yield made
        await made.close()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
async def test_contract(store: Store, rule: Callable[[Store], Awaitable[None]]) -> None:
    await rule(store)
