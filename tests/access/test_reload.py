"""Budgets and limits of a configuration that is read again while the gateway runs."""

from __future__ import annotations

from pathlib import Path

import yaml

from tollbook.access.keys import Keys
from tollbook.books import Books
from tollbook.config import load_config
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook
from tollbook.server.reload import Reload
from tollbook.storage import open_store
from tollbook.storage.keys import KeyTable


async def test_they_hold_from_the_reload_on_and_a_wrong_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"

    def write(**said: object) -> None:
        models = [{"model_name": "m", "litellm_params": {"model": "simulated/echo"}}]
        file.write_text(yaml.safe_dump({"model_list": models, **said}))

    write(budgets=[{"name": "all", "amount": 1, "window": "day"}])
    config = load_config(file, {})
    table, prices = KeyTable(), PriceBook()
    keys = Keys(table)
    keys.configure(config.budgets, config.limits)
    gateway = Gateway(config, books=Books(open_store(None), prices), environment={})
    reload = Reload(gateway, prices, keys, {})

    def held() -> tuple[list[tuple[str, int]], list[int]]:
        terms = keys.rules.of("", None, None, "m", "m")
        return [(each.account, each.budget.amount) for each in terms.money], [rate.limit for rate in terms.rates]

    before = held()
    write(budgets=[{"name": "all", "amount": 2, "window": "day"}], limits=[{"model": "m", "rpm": 7}])
    await reload()
    after = held()
    write(budgets=[{"name": "all", "amount": -1, "window": "day"}])
    await reload()

    assert before == ([("config:all", 1_000_000_000)], [])
    assert after == ([("config:all", 2_000_000_000)], [7])
    assert held() == after
    await gateway.close()
    table.close()
