"""What is said to be done is done: at once, after a restart, after `kill -9`, and on every worker."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests import protocol

from .asking import Told, ask, error_of, events_of, stream, text_of
from .running import Gateway, running, until

ROUNDS = pytest.mark.parametrize("rounds", [100, pytest.param(1000, marks=pytest.mark.slow)])


async def _follows_at_once(base: str, rounds: int, headers: dict[str, str], fresh: bool = False) -> int:
    """How many of so many follow-ups, each sent the moment the terminal event is read, found their parent."""

    async def one(client: httpx.AsyncClient, number: int) -> bool:
        body = {"model": "simulated/echo", "input": f"remember {number}", "stream": number % 2 == 0}
        raw = b""
        async with client.stream("POST", "/v1/responses", json=body) as answer:
            async with aclosing(answer.aiter_bytes()) as pieces:
                async for piece in pieces:
                    raw += piece
                    if b"\n\n" in raw.partition(b"event: response.completed")[2]:
                        break
            if not body["stream"]:
                parent = json.loads(raw)["id"]
            else:
                parent = json.loads(raw.partition(b"event: response.completed\ndata: ")[2].partition(b"\n\n")[0])
                parent = parent["response"]["id"]
            followed = {"model": "simulated/echo", "input": "again", "previous_response_id": parent}
            told = await client.post("/v1/responses", json=followed, headers={"connection": "close"} if fresh else None)
        return told.status_code == 200 and f"the first was: remember {number}" in text_of(told.json())

    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
        limit = asyncio.Semaphore(8)

        async def guarded(number: int) -> bool:
            async with limit:
                return await one(client, number)

        return sum(await asyncio.gather(*(guarded(number) for number in range(rounds))))


@ROUNDS
async def test_a_follow_up_sent_at_once_finds_its_parent(gateway: Gateway, rounds: int) -> None:
    with gateway.client() as http:
        assert await _follows_at_once(gateway.url, rounds, dict(http.headers)) == rounds


def test_what_is_not_stored_is_not_found(http: httpx.Client) -> None:
    made = ask(http, "simulated/echo", store=False).json()
    told = stream(http, "simulated/echo", store=False).events[-1]["response"]

    for response in (made, told):
        assert response["store"] is False
        assert http.get(f"/v1/responses/{response['id']}").status_code == 404
        follow = ask(http, "simulated/echo", previous_response_id=response["id"])
        assert error_of(follow)["code"] == "previous_response_not_found"


def test_what_is_deleted_is_gone_and_its_cost_stays(gateway: Gateway, http: httpx.Client) -> None:
    first = ask(http, "simulated/story")
    parent = first.json()["id"]
    second = ask(http, "simulated/echo", previous_response_id=parent).json()["id"]

    assert http.delete(f"/v1/responses/{parent}").status_code == 200

    assert http.get(f"/v1/responses/{parent}").status_code == 404
    assert http.delete(f"/v1/responses/{parent}").status_code == 404
    assert http.get(f"/v1/responses/{second}").status_code == 200
    broken = ask(http, "simulated/echo", previous_response_id=second)
    assert broken.status_code == 404, "a conversation with a hole is not told as a whole one"
    assert parent in error_of(broken)["message"]
    assert gateway.call(first.headers["x-tollbook-call-id"])["cost"]["nano_usd"] > 0


def test_two_answers_to_one_question_do_not_see_each_other(http: httpx.Client) -> None:
    first = ask(http, "simulated/echo", "root").json()["id"]
    left = ask(http, "simulated/echo", "left", previous_response_id=first).json()["id"]
    right = ask(http, "simulated/echo", "right", previous_response_id=first).json()["id"]

    for branch, other in ((left, "right"), (right, "left")):
        texts = http.get(f"/v1/responses/{branch}/input_items").text
        assert "root" in texts
        assert other not in texts


def test_follow_ups_go_where_their_parent_was_made(gateway: Gateway, http: httpx.Client) -> None:
    used = set()
    for number in range(12):
        first = ask(http, "twins", f"chain {number}")
        second = ask(http, "twins", "and on", previous_response_id=first.json()["id"])
        third = stream(http, "twins", "and on", previous_response_id=second.json()["id"])
        places = {answer.headers["x-tollbook-deployment"] for answer in (first, second, third)}
        assert len(places) == 1
        used |= places
    assert len(used) == 2


def test_a_conversation_may_change_its_model(http: httpx.Client) -> None:
    first = ask(http, "simulated/echo", "the secret is blue").json()["id"]

    second = ask(http, "org/team/deep", "which secret", previous_response_id=first).json()

    assert "the first was: the secret is blue" in text_of(second)


def test_books_that_cannot_be_written_make_nothing_complete(tmp_path: Path) -> None:
    """The disk refuses every byte: nobody is asked any more, and what is under way is not told as complete; when the disk is
    well again, all is."""
    with running(tmp_path, key=None) as gateway, gateway.client() as http:
        assert gateway.process is not None
        ask(http, "simulated/echo")
        body = {"model": "simulated/story:gap=30", "input": "hello", "stream": True}
        with http.stream("POST", "/v1/responses", json=body) as under_way:
            pieces = under_way.iter_bytes()
            raw = next(pieces)
            limits = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            answers = [ask(http, "simulated/story"), ask(http, "simulated/story", stream=True)]
            told = events_of(raw + b"".join(pieces))
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, limits)

        assert [(answer.status_code, error_of(answer)["code"]) for answer in answers] == [
            (503, "storage_unavailable"),
            (503, "storage_unavailable"),
        ]
        assert protocol.check(told)["status"] == "failed"
        assert told[-2]["error"]["code"] == "storage_unavailable"
        assert http.get(f"/v1/responses/{told[0]['response']['id']}").status_code == 404
        well = ask(http, "simulated/story")
        assert well.status_code == 200
        assert http.get(f"/v1/responses/{well.json()['id']}").json() == well.json()


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, key=None).start()
    with gateway.client() as http:
        first = ask(http, "simulated/echo", "before the night")
        deleted = ask(http, "simulated/echo").json()["id"]
        http.delete(f"/v1/responses/{deleted}")
        calls = http.get("/v1/calls?limit=100").json()
    gateway.stop()
    try:
        gateway.start()
        with gateway.client() as http:
            assert http.get("/v1/calls?limit=100").json() == calls
            assert http.get(f"/v1/responses/{first.json()['id']}").json() == first.json()
            assert http.get(f"/v1/responses/{deleted}").status_code == 404
            second = ask(http, "simulated/echo", "good morning", previous_response_id=first.json()["id"]).json()
            assert "the first was: before the night" in text_of(second)
    finally:
        gateway.stop()


# ── kill -9 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Load:
    """Clients that ask until the gateway dies; `acknowledged` holds what each was told: call id -> cost or None."""

    def __init__(self, gateway: Gateway) -> None:
        self.acknowledged: dict[str, str | None] = {}
        self.responses: dict[str, dict[str, Any]] = {}
        self._gateway = gateway
        self._threads = [threading.Thread(target=self._ask, args=(n % 2 == 0,)) for n in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(30)

    def _ask(self, streamed: bool) -> None:
        with self._gateway.client() as http:
            while True:
                try:
                    answer: Told | httpx.Response
                    if streamed:
                        body = {"model": "simulated/story:words=20", "input": "x", "stream": True}
                        with http.stream("POST", "/v1/responses", json=body) as line:
                            answer = Told(line.status_code, line.headers, events_of(line.read()), b"")
                        response = answer.events[-1]["response"]
                    else:
                        answer = ask(http, "simulated/story:words=20")
                        response = answer.json()
                except (httpx.TransportError, AssertionError, ValueError, IndexError):
                    return  # killed in the middle: this one was not acknowledged
                self.acknowledged[answer.headers["x-tollbook-call-id"]] = answer.headers.get("x-tollbook-cost")
                self.responses[response["id"]] = response


PRICED = {
    "model_list": [
        {
            "model_name": "simulated/*",
            "litellm_params": {
                "model": "simulated/*",
                "input_cost_per_token": 2.5e-6,
                "output_cost_per_token": 1e-5,
            },
        }
    ]
}


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_kill_loses_and_doubles_nothing_that_was_acknowledged(tmp_path: Path, kills: int) -> None:
    gateway = Gateway(tmp_path, PRICED, key=None)
    acknowledged: dict[str, str | None] = {}
    responses: dict[str, dict[str, Any]] = {}
    for _ in range(kills):
        gateway.start()
        with Load(gateway) as load:
            until(lambda load=load: len(load.acknowledged) > 20, what="some load")  # type: ignore[misc]
            time.sleep(random.uniform(0.0, 0.3))
            gateway.kill()
        acknowledged |= load.acknowledged
        responses |= load.responses
    gateway.start()
    try:
        with gateway.client() as http:
            booked = list(_all_calls(http))
            ids = [call["id"] for call in booked]
            assert len(ids) == len(set(ids)), "a call is in the books twice"
            assert set(acknowledged) <= set(ids), "an acknowledged call is missing"
            costs = {call["id"]: call["cost"]["usd"] for call in booked}
            assert all(costs[call] == cost for call, cost in acknowledged.items() if cost is not None)
            for identifier in random.sample(sorted(responses), min(200, len(responses))):
                assert http.get(f"/v1/responses/{identifier}").json() == responses[identifier]
    finally:
        gateway.stop()
    assert len(acknowledged) > 20 * kills


def _all_calls(http: httpx.Client) -> Iterator[dict[str, Any]]:
    before = ""
    while True:
        page = http.get(f"/v1/calls?limit=1000{before}").json()
        yield from (call for call in page["data"] if call["operation"] == "create")
        if not page["has_more"]:
            return
        before = f"&before={page['data'][-1]['id']}"


# ── Several workers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _family(pid: int) -> set[int]:
    """A process and all that it started."""
    found = {pid}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found |= _family(int(path.parent.name))
    return found


async def test_on_two_workers_every_follow_up_finds_its_parent_and_an_interrupt_ends_all(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, PRICED, key=None, arguments=["--workers", "2"]).start()
    assert gateway.process is not None
    family = _family(gateway.process.pid)
    try:
        assert len(family) >= 4, "two workers, the recorder, and who started them"
        assert await _follows_at_once(gateway.url, 100, {}, fresh=True) == 100
        with gateway.client() as http:
            made = ask(http, "simulated/story").headers["x-tollbook-call-id"]
            assert gateway.call(made)["cost"]["nano_usd"] > 0
            calls = list(_all_calls(http))
        assert len(calls) == len({call["id"] for call in calls}) == 201
        workers = list((gateway.data / "journals").glob("worker-*.sqlite"))
        assert len(workers) == 2
    finally:
        gateway.stop(by=signal.SIGINT)

    def alive() -> list[int]:
        return [pid for pid in family if os.path.exists(f"/proc/{pid}")]

    until(lambda: not alive(), seconds=15, what="the end of all processes")
    again = Gateway(tmp_path, PRICED, key=None).start()
    try:
        with again.client() as http:
            assert len(list(_all_calls(http))) == 201
    finally:
        again.stop()
