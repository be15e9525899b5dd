"""Prices in a running gateway: what an operator says while it runs, and what its calls cost then. Nothing is replaced."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.running import Gateway, running, until
from tollbook.storage.prices import FILE

CONFIG: dict[str, Any] = {
    "model_list": [
        {"model_name": "simulated/*", "litellm_params": {"model": "simulated/*"}},
        {
            "model_name": "timed",
            "litellm_params": {
                "model": "simulated/story:words=3,ttft=50",
                "input_cost_per_second": 1.0,
                "input_cost_per_character": 0.001,
                "output_cost_per_character": 0.002,
                "input_cost_per_image": 0.5,
                "input_cost_per_token": 0,
                "output_cost_per_token": 0,
            },
        },
    ],
    "prices": [
        {
            "model": "simulated/dear",
            "valid_from": "2026-01-01",
            "input_cost_per_token": 1e-5,
            "output_cost_per_token": 0,
        }
    ],
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("prices"), CONFIG, key=None) as started:
        yield started


def attempt(gateway: Gateway, model: str, content: Any = "Hello there") -> dict[str, Any]:
    """The attempt of a new call, as the books have it."""
    with gateway.client() as http:
        answer = http.post("/v1/responses", json={"model": model, "input": content})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = gateway.call(answer.headers["x-tollbook-call-id"])["attempts"][0]
        return found


def prices(gateway: Gateway, *arguments: str) -> str:
    done = gateway.run("prices", *arguments, "--config", "config.yaml", "--data-dir", str(gateway.data))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_list_of_the_configuration_counts(gateway: Gateway) -> None:
    booked = attempt(gateway, "simulated/dear")

    assert re.fullmatch(r"config [0-9a-f]{8} from 2026-01-01", booked["cost"]["price_version"])
    assert booked["cost"]["nano_usd"] == booked["usage"]["input"] * 10_000


def test_a_price_set_while_it_runs_counts_within_a_second_and_ends_when_it_is_told_to(gateway: Gateway) -> None:
    assert attempt(gateway, "simulated/echo")["cost"]["price_version"] == "simulated 1"
    begun = time.monotonic()
    number = re.match(r"own (\d+): ", prices(gateway, "set", "simulated/echo", "--input", "1000", "--output", "0"))
    assert number is not None

    until(lambda: attempt(gateway, "simulated/echo")["cost"]["price_version"].startswith(f"own {number[1]} from "))
    assert time.monotonic() - begun < 8, "a second, and what it takes to start a command on a busy machine"
    booked = attempt(gateway, "simulated/echo")
    assert booked["cost"]["nano_usd"] == booked["usage"]["input"] * 1_000_000

    prices(gateway, "unset", number[1])
    until(lambda: attempt(gateway, "simulated/echo")["cost"]["price_version"] == "simulated 1")


def test_a_discount_is_a_line_of_the_books_and_all_lines_add_up(gateway: Gateway) -> None:
    prices(gateway, "set", "simulated/cheap", "--discount", "0.5", "--uplift", "0.1", "--margin", "0.2")
    booked = until(
        lambda: (one := attempt(gateway, "simulated/cheap"))["cost"]["price_version"] != "simulated 1" and one
    )

    lines = {line["kind"]: line["amount_nano"] for line in booked["cost"]["lines"]}
    assert booked["cost"]["price_version"] == "simulated 1/uplift:10%/discount:50%/margin:20%"
    assert lines["uplift"] > 0 > lines["discount"]
    assert sum(lines.values()) == booked["cost"]["nano_usd"]


def test_what_a_price_counts_is_counted(gateway: Gateway) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    content = [{"role": "user", "content": [{"type": "input_text", "text": "x" * 100}, picture, picture]}]

    booked = attempt(gateway, "timed", content)

    lines = {line["kind"]: (line["quantity"], line["amount_nano"]) for line in booked["cost"]["lines"]}
    assert lines["input_image_count"] == (2, 10**9)
    assert lines["input_characters"] == (100, 10**8)
    assert lines["output_characters"][1] == lines["output_characters"][0] * 2_000_000 > 0
    assert 50 <= lines["milliseconds"][0] < 10_000
    assert lines["milliseconds"][1] == lines["milliseconds"][0] * 1_000_000
    assert sum(amount for _, amount in lines.values()) == booked["cost"]["nano_usd"]


def test_what_was_in_force_is_recorded(gateway: Gateway) -> None:
    def editions() -> list[tuple[str, int]]:
        with sqlite3.connect(gateway.data / FILE) as table:
            found = table.execute(
                "SELECT release, length(content) FROM editions JOIN releases ON version = release"
            ).fetchall()
        table.close()
        return found

    ((release, size),) = until(editions, what="the first edition")
    assert release.startswith("genai-prices ")
    assert size < 200_000
    assert "Nothing changed between genai-prices" in prices(gateway, "diff")


def test_a_reload_takes_the_new_list_and_refuses_a_wrong_one(gateway: Gateway) -> None:
    def write(**entry: Any) -> None:
        (gateway.folder / "config.yaml").write_text(
            json.dumps({**CONFIG, "prices": [{"model": "simulated/dear", **entry}]})
        )
        assert gateway.run("reload", "--data-dir", str(gateway.data)).returncode == 0

    write(input_cost_per_token=2e-5, output_cost_per_token=0)
    booked = until(
        lambda: (one := attempt(gateway, "simulated/dear"))["cost"]["price_version"][-10:] != "2026-01-01" and one
    )
    assert booked["cost"]["nano_usd"] == booked["usage"]["input"] * 20_000

    write(input_cost_per_token=2e-5, output_cost_per_token=0, currency="EUR")
    until(lambda: "prices[0].currency: prices are in USD; convert them" in gateway.log)
    assert attempt(gateway, "simulated/dear")["cost"]["price_version"] == booked["cost"]["price_version"]


@pytest.mark.slow
def test_every_worker_follows_the_table(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, key=None, arguments=["--workers", "2"]) as several:
        prices(several, "set", "simulated/echo", "--input", "1000", "--output", "0")
        time.sleep(1.0)
        seen = {attempt(several, "simulated/echo")["cost"]["price_version"].partition(" ")[0] for _ in range(20)}

    assert seen == {"own"}


ROUTER = """
import os, sys, time
from pathlib import Path
import tollbook
from tollbook.storage.prices import PriceTable

folder = Path(sys.argv[1])
listed = [{"model": "simulated/*", "discount": 0.5}]
with tollbook.Router(store=folder, prices=listed) as router:
    def usd():
        return router.responses("Hello there", "simulated/echo", max_output_tokens=16).cost_usd
    cheap = usd()
    table = PriceTable(folder)
    said = {"input_cost_per_token": "0.001", "output_cost_per_token": "0.001"}
    table.set({"model": "simulated/echo", "valid_from": 0, "said": said}, actor="test", check=lambda _: None)
    table.close()
    deadline = time.monotonic() + 10
    while (dear := usd()) < 100 * cheap:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if (child := os.fork()) == 0:
        os._exit(0 if usd() == dear else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "a child knows the prices of its parent"
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_router_follows_the_table_of_its_store_and_so_does_a_forked_child(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ROUTER, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
