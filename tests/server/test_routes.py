"""Every path under every prefix, and what it says."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests import protocol

from .asking import ask, error_of, events_of, text_of
from .running import MASTER, Gateway

PREFIXES = ["", "/v1", "/openai/v1"]


@pytest.fixture(params=PREFIXES, ids=["bare", "v1", "openai"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_response_lives_under_every_prefix(http: httpx.Client, prefix: str) -> None:
    at = f"{prefix}/responses"
    body = {"model": "simulated/echo", "input": "good morning"}

    made = http.post(at, json=body)
    told = http.post(at, json={**body, "stream": True})
    asked = http.post(f"{at}?stream=true", json=body)
    one = f"{at}/{made.json()['id']}"
    got, items = http.get(one), http.get(f"{one}/input_items")
    again = http.get(f"{one}?stream=true")
    counted = http.post(f"{at}/input_tokens", json=body)
    cancelled = http.post(f"{one}/cancel")
    deleted = http.delete(one)
    gone = http.get(one)

    assert made.status_code == told.status_code == asked.status_code == got.status_code == 200
    assert got.json() == made.json()
    for streamed in (told, asked, again):
        assert streamed.headers["content-type"].startswith("text/event-stream")
        protocol.check(events_of(streamed.content))
    assert items.json()["data"][0]["content"][0]["text"] == "good morning"
    assert counted.json()["object"] == "response.input_tokens"
    assert counted.json()["input_tokens"] > 0
    assert error_of(cancelled)["code"] == "response_not_cancellable"
    assert deleted.json() == {"id": made.json()["id"], "object": "response", "deleted": True}
    assert gone.status_code == 404


def test_models_and_calls_live_under_every_prefix(http: httpx.Client, prefix: str) -> None:
    call_id = ask(http, "simulated/echo").headers["x-tollbook-call-id"]

    models = http.get(f"{prefix}/models").json()
    deep = http.get(f"{prefix}/models/org/team/deep").json()
    unknown = http.get(f"{prefix}/models/org/team/deeper")
    calls = http.get(f"{prefix}/calls?limit=1").json()
    call = http.get(f"{prefix}/calls/{call_id}").json()

    assert models["object"] == "list"
    assert models["models"] == []
    assert {"id": "org/team/deep", "object": "model", "created": 0, "owned_by": "org"} in models["data"]
    assert deep["id"] == "org/team/deep"
    assert error_of(unknown)["code"] == "model_not_found"
    assert calls["object"] == "list"
    assert calls["has_more"] is True
    assert call["id"] == calls["data"][0]["id"] == call_id


def test_streaming_is_never_decided_by_accept(http: httpx.Client) -> None:
    body = {"model": "simulated/echo", "input": "x"}

    whole = http.post("/v1/responses", json=body, headers={"accept": "text/event-stream"})
    told = http.post("/v1/responses", json={**body, "stream": True}, headers={"accept": "application/json"})

    assert whole.json()["object"] == "response"
    assert events_of(told.content)[-1]["type"] == "response.completed"


def test_a_stored_response_is_told_again_from_any_event_on(http: httpx.Client) -> None:
    identifier = ask(http, "simulated/reasoner").json()["id"]
    url = f"/v1/responses/{identifier}?stream=true"
    whole = events_of(http.get(url).content)

    assert protocol.check(whole)["id"] == identifier
    for after in (0, 1, len(whole) - 2, len(whole) - 1, 10_000):
        told = events_of(http.get(f"{url}&starting_after={after}").content)
        assert told == [event for event in whole if event["sequence_number"] > after]


@pytest.mark.parametrize("after", ["x", "-5", "1.5", "99999999999999999999"])
def test_a_start_that_is_no_number_is_refused(http: httpx.Client, after: str) -> None:
    identifier = ask(http, "simulated/echo").json()["id"]

    refused = http.get(f"/v1/responses/{identifier}?stream=true&starting_after={after}")

    assert refused.status_code == 400
    assert error_of(refused)["param"] == "starting_after"


@pytest.fixture(scope="module")
def talk(gateway: Gateway) -> str:
    """The last response of a conversation of three turns: five input items."""
    with gateway.client() as http:
        parent: dict[str, Any] = {}
        for number in range(3):
            made = ask(http, "simulated/echo", f"turn {number}", **parent).json()
            parent = {"previous_response_id": made["id"]}
        return str(made["id"])


def _texts(page: httpx.Response) -> list[str]:
    return [item["content"][0]["text"] for item in page.json()["data"]]


def test_input_items_are_the_whole_conversation_newest_first(http: httpx.Client, talk: str) -> None:
    url = f"/v1/responses/{talk}/input_items"

    newest, oldest = http.get(url), http.get(f"{url}?order=asc")

    assert len(newest.json()["data"]) == 5
    assert newest.json()["data"] == oldest.json()["data"][::-1]
    assert [text for text in _texts(oldest) if text.startswith("turn")] == ["turn 0", "turn 1", "turn 2"]
    assert newest.json()["has_more"] is False
    assert len({item["id"] for item in newest.json()["data"]}) == 5


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 4, 5, 100])
def test_input_items_come_in_pages(http: httpx.Client, talk: str, order: str, limit: int) -> None:
    url = f"/v1/responses/{talk}/input_items?order={order}"
    whole = http.get(url).json()["data"]

    pages, more = [], ""
    while not pages or pages[-1]["has_more"]:
        pages.append(http.get(f"{url}&limit={limit}{more}").json())
        more = f"&after={pages[-1]['last_id']}"

    assert [item for page in pages for item in page["data"]] == whole
    assert all(len(page["data"]) == limit for page in pages[:-1])
    assert all(page["first_id"] == page["data"][0]["id"] for page in pages)
    assert all(page["last_id"] == page["data"][-1]["id"] for page in pages)


def test_the_clients_pager_walks_through_all_input_items(gateway: Gateway, talk: str) -> None:
    with gateway.openai() as client:
        items = list(client.responses.input_items.list(talk, limit=2, order="asc"))

    assert [item.role for item in items] == ["user", "assistant", "user", "assistant", "user"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("query", "param", "status"),
    [
        ("limit=0", "limit", 400),
        ("limit=101", "limit", 400),
        ("limit=many", "limit", 400),
        ("order=up", "order", 400),
        ("after=nowhere", "after", 404),
    ],
)
def test_a_page_that_cannot_be_is_refused(http: httpx.Client, talk: str, query: str, param: str, status: int) -> None:
    refused = http.get(f"/v1/responses/{talk}/input_items?{query}")

    assert refused.status_code == status
    assert error_of(refused)["param"] == param


def test_calls_come_in_pages_newest_first(http: httpx.Client) -> None:
    made = [ask(http, "simulated/echo").headers["x-tollbook-call-id"] for _ in range(3)]

    first = http.get("/v1/calls?limit=2").json()
    second = http.get(f"/v1/calls?limit=1&before={first['data'][-1]['id']}").json()

    assert [call["id"] for call in (*first["data"], *second["data"])] == made[::-1]
    assert all(older["started"] <= newer["started"] for newer, older in pairwise(first["data"]))
    assert error_of(http.get("/v1/calls?before=call_nobody"))["param"] == "before"
    assert http.get("/v1/calls/call_nobody").status_code == 404


def test_counted_tokens_include_the_conversation_before(http: httpx.Client, talk: str) -> None:
    body = {"model": "simulated/echo", "input": "one more"}

    alone = http.post("/v1/responses/input_tokens", json=body).json()
    after = http.post("/v1/responses/input_tokens", json={**body, "previous_response_id": talk}).json()

    assert after["input_tokens"] > alone["input_tokens"] + 10


def test_health_needs_no_key(gateway: Gateway) -> None:
    with gateway.client(None) as anybody:
        assert anybody.get("/health/live").json() == {"status": "ok"}
        assert anybody.get("/healthz").status_code == 200
        for path in ("/health", "/health/ready", "/readyz"):
            assert anybody.get(path).json()["status"] == "ok"


@pytest.mark.parametrize("path", [f"{prefix}/responses" for prefix in PREFIXES])
def test_a_websocket_is_answered_with_426_so_that_clients_go_on_over_http(gateway: Gateway, path: str) -> None:
    url = f"ws://127.0.0.1:{gateway.port}{path}"

    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers={"authorization": f"Bearer {MASTER}"}, proxy=None)

    answer = refused.value.response
    assert answer.status_code == 426
    assert b'"code":"upgrade_required"' in answer.body


def test_paths_and_methods_that_are_not_there_are_told_in_the_same_shape(http: httpx.Client) -> None:
    absent, wrong = http.get("/v1/nothing"), http.put("/v1/responses", json={})

    assert (absent.status_code, wrong.status_code) == (404, 405)
    assert error_of(absent)["code"] == "not_found"
    assert error_of(wrong)["code"] == "method_not_allowed"
    assert "POST" in wrong.headers["allow"]


def test_the_openapi_document_describes_every_route(gateway: Gateway) -> None:
    with gateway.client(None) as anybody:
        document = anybody.get("/docs/openapi.json").json()

    described = {
        (method, re.sub(r"\{\w+\}", "{}", path)) for path, methods in document["paths"].items() for method in methods
    }
    wanted = [
        ("post", "/responses"),
        ("get", "/responses/{}"),
        ("delete", "/responses/{}"),
        ("post", "/responses/{}/cancel"),
        ("get", "/responses/{}/input_items"),
        ("post", "/responses/input_tokens"),
        ("get", "/models"),
        ("get", "/models/{}"),
        ("get", "/calls"),
        ("get", "/calls/{}"),
        ("post", "/keys"),
        ("get", "/keys"),
        ("delete", "/keys/{}"),
    ]
    assert {(method, prefix + path) for method, path in wanted for prefix in PREFIXES} <= described
    assert {("get", "/health/live"), ("get", "/health/ready")} <= described
    operations = [o for methods in document["paths"].values() for o in methods.values()]
    assert all(operation.get("description") or operation.get("summary") for operation in operations)


def test_the_text_of_a_conversation_reaches_the_model(http: httpx.Client, talk: str) -> None:
    answer = ask(http, "simulated/echo", "and now", previous_response_id=talk).json()

    assert text_of(answer) == "You said: and now. Before it I saw 6 messages, the first was: turn 0"
