"""Another configuration while the gateway serves: nothing is dropped, nothing wrong is taken over."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.protocol import check
from tests.server.running import Gateway, running, until
from tollbook.config import config_from

from .pipeline import model, pipeline


def settings(*names: str, target: str = "simulated/echo", **router: Any) -> dict[str, Any]:
    return {"model_list": [model("m", target, id=name) for name in names], "router_settings": router}


async def test_two_configurations_swapped_under_load_drop_nothing() -> None:
    one, two = settings("a", "b", target="simulated/story:gap=1"), settings("b", "c", target="simulated/story:gap=1")
    swaps = 0
    async with pipeline(one) as of:
        begun = await of.ask("m", "first")

        async def swap() -> None:
            nonlocal swaps
            while True:
                await asyncio.sleep(0.01)
                swaps += 1
                of.gateway.reload(config_from((two, one)[swaps % 2], {}))

        swapper = asyncio.create_task(swap())
        served: set[str] = set()
        for _ in range(5):
            answers = await asyncio.gather(
                *(of.ask("m", stream=True) for _ in range(10)),
                *(of.ask("m", previous_response_id=begun.response["id"]) for _ in range(5)),
            )
            for told in answers:
                assert told.error is None
                if told.events:
                    assert check(told.events)["status"] == "completed"
                served.add(told.call.attempts[0].deployment)
        swapper.cancel()
        assert all(of.gateway.router.health(d).in_flight == 0 for d in of.gateway.config.deployments.values())

    assert swaps > 10
    assert served == {"a", "b", "c"}


async def test_a_call_under_way_ends_by_the_configuration_it_began_with() -> None:
    slow = settings("old", target="simulated/echo:ttft=200,fault=500,fails=1")
    slow["router_settings"] = {"disable_cooldowns": True}
    async with pipeline(slow) as of:
        asking = asyncio.create_task(of.ask("m"))
        await asyncio.sleep(0.05)
        of.gateway.reload(config_from(settings("new"), {}))
        assert (await of.ask("m")).call.attempts[0].deployment == "new"
        told = await asking

    assert told.error is None
    assert {a.deployment for a in told.call.attempts} == {"old"}


def write(gateway: Gateway, config: Any) -> None:
    (gateway.folder / "config.yaml").write_text(config if isinstance(config, str) else json.dumps(config))


def names(gateway: Gateway) -> set[str]:
    with gateway.client() as client:
        return {entry["id"] for entry in client.get("/v1/models").json()["data"]}


def test_tollbook_reload_swaps_a_right_file_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    story = {"model_list": [{"model_name": "old", "litellm_params": {"model": "simulated/story:gap=30"}}]}
    with running(tmp_path, story, key=None) as gateway:
        with (
            gateway.client() as client,
            client.stream("POST", "/v1/responses", json={"model": "old", "input": "x", "stream": True}) as stream,
        ):
            lines = stream.iter_lines()
            assert next(lines).startswith("event:")
            write(gateway, {"model_list": [{"model_name": "new", "litellm_params": {"model": "simulated/echo"}}]})
            done = gateway.run("reload", "--data-dir", str(gateway.data))
            assert done.returncode == 0, done.stderr
            until(lambda: names(gateway) == {"new"}, what="the reload")
            rest = list(lines)
        assert any("response.completed" in line for line in rest), "the stream that was under way is not dropped"

        write(gateway, {"model_list": [{"model_name": "x", "litellm_params": {"model": "simulated/echo", "rpm": -1}}]})
        assert gateway.run("reload", "--data-dir", str(gateway.data)).returncode == 0
        until(lambda: "is refused, the old one goes on" in gateway.log and "rpm: must be at least 1" in gateway.log)
        assert names(gateway) == {"new"}

        refused = gateway.run("reload", "--config", "config.yaml", "--data-dir", str(gateway.data))
        assert refused.returncode == 1
        assert "rpm: must be at least 1" in refused.stderr


def test_with_several_workers_each_reloads(tmp_path: Path) -> None:
    first = {"model_list": [{"model_name": "old", "litellm_params": {"model": "simulated/echo"}}]}
    with running(tmp_path, first, key=None, arguments=["--workers", "2"]) as gateway:
        until(lambda: gateway.run("reload", "--data-dir", str(gateway.data)).returncode == 0)
        write(gateway, {"model_list": [{"model_name": "new", "litellm_params": {"model": "simulated/echo"}}]})

        def both() -> bool:  # a worker that was not up yet hears the next signal
            assert gateway.run("reload", "--data-dir", str(gateway.data)).returncode == 0
            found = [httpx.get(f"{gateway.url}/v1/models").json()["data"] for _ in range(20)]  # a connection each
            return all([entry["id"] for entry in data] == ["new"] for data in found)

        until(both, what="both workers to serve the new models", seconds=20)


def test_without_a_gateway_there_is_nothing_to_reload(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    (gateway.data).mkdir()
    (gateway.data / "gateway.pid").write_text("1\n")  # left behind by a crash; that process is somebody else's

    done = gateway.run("reload", "--data-dir", str(gateway.data))
    assert done.returncode == 1
    assert "no gateway runs on" in done.stderr


@pytest.mark.parametrize("key", [None, "sk-master"])
def test_deployments_are_shown_with_their_state(key: str | None, tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "model_list": [
            {
                "model_name": "m",
                "litellm_params": {"model": "simulated/echo:fault=429,retry=60", "rpm": 7},
                "model_info": {"id": "d"},
            }
        ],
        "router_settings": {"num_retries": 0},
    }
    if key:
        config["general_settings"] = {"master_key": key}
    with running(tmp_path, config, key=key) as gateway, gateway.client() as client:
        assert client.post("/v1/responses", json={"model": "m", "input": "x"}).status_code == 429
        (shown,) = client.get("/v1/deployments").json()["data"]
        (health,) = shown["health"]
        assert (shown["id"], health["state"], health["reason"]) == ("d", "cooling", "rate_limit")
        assert 50 < health["cooling"] <= 60
        assert health["limits"]["requests"] == {"used": 1, "limit": 7}
        assert health["in_flight"] == 0
