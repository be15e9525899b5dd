"""Calls whose client hung up, or whose gateway was killed, have rows with tokens and cost all the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from .running import Gateway, running, until

TEXT = "one two three four five six seven eight nine ten eleven twelve"


def config(**params: Any) -> dict[str, Any]:
    return {
        "model_list": [
            {"model_name": "slow", "litellm_params": {"model": "simulated/echo:gap=60", **params}},
            {"model_name": "quick", "litellm_params": {"model": "simulated/echo"}},
        ],
        "general_settings": {"master_key": "sk-abandoned"},
    }


def hang_up_after(gateway: Gateway, events: int) -> tuple[str, str]:
    """Begin a stream and leave it; the call's id and the response's."""
    body = {"model": "slow", "input": TEXT, "stream": True}
    with gateway.client() as client, client.stream("POST", "/v1/responses", json=body) as answer:
        heard = 0
        response_id = ""
        for line in answer.iter_lines():
            if '"response.created"' in line and line.startswith("data:"):
                response_id = line.split('"id":"', 1)[1].split('"', 1)[0]
            heard += line.startswith("data:")
            if heard >= events:
                break
        return answer.headers["x-tollbook-call-id"], response_id


@pytest.fixture(scope="module")
def draining(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running(tmp_path_factory.mktemp("drain"), config(on_disconnect="drain"), key="sk-abandoned") as gateway:
        yield gateway


def test_a_drained_answer_is_read_to_its_end_and_costs_what_the_provider_says(draining: Gateway) -> None:
    with draining.client() as client:
        whole = client.post("/v1/responses", json={"model": "quick", "input": TEXT}).json()
    call_id, response_id = hang_up_after(draining, 6)

    row = draining.call(call_id)
    assert (row["outcome"], row["usage"]["source"]) == ("client_disconnected", "provider")
    assert row["attempts"][0]["outcome"] == "completed"
    assert row["usage"]["output"] == whole["usage"]["output_tokens"]
    assert row["cost"]["nano_usd"] > 0
    with draining.client() as client:
        kept = client.get(f"/v1/responses/{response_id}").json()
    assert kept["output"][0]["content"][0]["text"] == whole["output"][0]["content"][0]["text"]


def test_a_gateway_that_is_told_to_stop_finishes_what_it_drains(tmp_path: Path) -> None:
    with running(tmp_path, config(on_disconnect="drain"), key="sk-abandoned") as gateway:
        call_id, _ = hang_up_after(gateway, 6)
        gateway.stop()
        gateway.start()

        assert gateway.call(call_id)["usage"]["source"] == "provider"


def test_a_cancelled_answer_is_estimated_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path, config(), key="sk-abandoned") as gateway:
        call_id, _ = hang_up_after(gateway, 6)

        row = gateway.call(call_id)
        assert (row["outcome"], row["usage"]["source"]) == ("client_disconnected", "estimated")
        assert 0 < row["usage"]["output"] < 15
        assert row["cost"]["nano_usd"] > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_gateway_books_its_calls_when_it_is_back(tmp_path: Path, workers: int) -> None:
    arguments = ("--workers", str(workers)) if workers > 1 else ()
    with running(tmp_path, config(), key="sk-abandoned", arguments=arguments) as gateway:
        body = {"model": "slow", "input": TEXT * 4, "stream": True}
        with gateway.client() as client, client.stream("POST", "/v1/responses", json=body) as answer:
            call_id = answer.headers["x-tollbook-call-id"]
            lines = answer.iter_lines()
            for _ in range(60):
                next(lines)
            if workers == 1:
                gateway.kill()
                gateway.start()
            else:
                kill_workers(gateway)
            row = until(lambda: told(gateway, call_id), seconds=40, what="the row of the killed call")

    assert (row["outcome"], row["error"]["code"], row["status"]) == ("failed", "gateway_killed", 500)
    (attempt,) = row["attempts"]
    assert (attempt["outcome"], attempt["usage"]["source"]) == ("failed", "estimated")
    assert attempt["usage"]["input"] > 30
    assert attempt["usage"]["output"] > 0
    assert row["cost"]["nano_usd"] > 0
    assert row["ended"] > row["started"]


def told(gateway: Gateway, call_id: str) -> dict[str, Any] | None:
    with gateway.client() as client:
        answer = client.get(f"/v1/calls/{call_id}")
        return answer.json() if answer.status_code == 200 else None


def kill_workers(gateway: Gateway) -> None:
    """All workers, not the process that watches over them: it starts new ones."""
    assert gateway.process is not None
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
    for child in map(int, children):
        command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if b"recorder" not in command and any(b"spawn" in part for part in command):
            os.kill(child, signal.SIGKILL)
