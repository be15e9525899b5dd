"""Budgets, limits, teams and the administrator's routes, over HTTP and through the OpenAI SDK."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from .asking import ask, error_of, stream
from .running import MASTER, Gateway, running, until

_numbers = count()

PRICES = {"input_cost_per_token": 0, "output_cost_per_token": 1e-3}
"""A tenth of a cent for each word that is answered."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    def model(name: str, target: str, **params: Any) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": target, "max_retries": 0, **params}}

    config = {
        "model_list": [
            model("simulated/*", "simulated/*", **PRICES),
            model("capped/*", "simulated/*", **PRICES),
            model("unknown", "openai_like/nobody-knows", api_base="http://127.0.0.1:9/v1", api_key="x"),
            model("mixed", "openai_like/nobody-knows", api_base="http://127.0.0.1:9/v1", api_key="x", weight=0),
            model("mixed", "simulated/echo", **PRICES),
        ],
        "router_settings": {"model_group_alias": {"cheap": "capped/echo"}},
        "general_settings": {
            "master_key": "os.environ/TOLLBOOK_MASTER_KEY",
            "end_user_budget": {"amount": 0.01, "window": "day"},
            "budget_output_tokens": 100,
        },
        "budgets": [{"name": "capped", "model": "capped/*", "amount": 0.02, "window": "day", "soft": 0.5}],
        "limits": [{"end_user": "hasty-*", "rpm": 2}],
    }
    environment = {"TOLLBOOK_MASTER_KEY": MASTER}
    with running(tmp_path_factory.mktemp("budgets"), config, environment=environment) as gateway:
        yield gateway


@pytest.fixture
def master(house: Gateway) -> Iterator[httpx.Client]:
    with house.client() as client:
        yield client


def make(master: httpx.Client, **terms: Any) -> dict[str, Any]:
    """A new key."""
    answer = master.post("/v1/keys", json={"alias": f"key-{next(_numbers)}", **terms})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def own(amount: float, window: str = "day", **more: Any) -> list[dict[str, Any]]:
    return [{"amount_usd": amount, "window": window, **more}]


def budget_error(answer: httpx.Response) -> dict[str, Any]:
    """The error of an exhausted budget, whose facts stand beside OpenAI's four fields."""
    error = answer.json()["error"]
    assert answer.status_code == 429
    assert set(error) == {"message", "type", "param", "code", "budget"}
    assert (error["code"], error["type"], error["param"]) == ("budget_exceeded", "insufficient_quota", None)
    return dict(error)


def words(http: httpx.Client, number: int, **fields: Any) -> httpx.Response:
    """A call that costs a tenth of a cent for each of so many words."""
    return ask(http, f"simulated/echo:words={number}", **fields)


# ── Money ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_spends_its_budget_and_is_refused_then(house: Gateway, master: httpx.Client) -> None:
    key = make(master, budgets=own(0.02))
    with house.client(key["secret"]) as http:
        first, second = words(http, 15), words(http, 15)
        refused = words(http, 1)
        told = stream(http, "simulated/echo")

    assert (first.status_code, second.status_code) == (200, 200), "what is left is enough to begin with"
    error = budget_error(refused)
    name = f"key:{key['alias']}:day"
    assert error["message"] == f"The budget '{name}' is spent: $0.03 of $0.02."
    assert error["budget"] == {
        "id": key["budgets"][0]["id"],
        "scope": "key",
        "name": name,
        "amount_usd": "0.02",
        "spent_usd": "0.03",
        "reserved_usd": "0",
        "window": "day",
        "resets_at": key["budgets"][0]["resets_at"],
    }
    assert refused.headers["x-should-retry"] == "false"
    assert 1 <= int(refused.headers["retry-after"]) <= 86_400
    assert told.status == 429
    row = house.call(refused.headers["x-tollbook-call-id"])
    assert (row["outcome"], row["attempts"], row["error"]["code"]) == ("rejected", [], "budget_exceeded")


def test_the_openai_sdk_does_not_try_again_what_cannot_help(house: Gateway, master: httpx.Client) -> None:
    key = make(master, budgets=own(0))
    with house.openai(key=key["secret"], retries=2) as sdk, pytest.raises(openai.RateLimitError) as refused:
        sdk.responses.create(model="simulated/echo", input="hi")

    assert refused.value.code == "budget_exceeded"
    assert refused.value.type == "insufficient_quota"
    with house.client(key["secret"]) as http:
        assert len(http.get("/v1/calls").json()["data"]) == 1


def test_what_is_spent_is_what_the_answers_cost(house: Gateway, master: httpx.Client) -> None:
    key = make(master, budgets=own(5))
    with house.client(key["secret"]) as http:
        answers = [words(http, 1 + number) for number in range(5)]
        told = stream(http, "simulated/echo:words=7")
        failed = ask(http, "simulated/echo:fault=500")
        broken = stream(http, "simulated/story:cut=10")
        state = http.get("/v1/key").json()["budgets"][0]

    costs = [house.call(each.headers["x-tollbook-call-id"])["cost"] for each in (*answers, failed)]
    costs += [house.call(each.call_id)["cost"] for each in (told, broken)]
    assert [answer.headers["x-tollbook-cost"] for answer in answers] == ["0.001", "0.002", "0.003", "0.004", "0.005"]
    assert Decimal(state["spent_usd"]) == sum(Decimal(cost["nano_usd"] or 0) for cost in costs) / 10**9
    assert Decimal(state["spent_usd"]) >= Decimal("0.022")
    assert (state["amount_usd"], state["reserved_usd"]) == ("5", "0")
    assert Decimal(state["left_usd"]) == 5 - Decimal(state["spent_usd"])


def test_a_client_that_hangs_up_frees_what_was_reserved(house: Gateway, master: httpx.Client) -> None:
    key = make(master, budgets=own(5))
    body = {"model": "simulated/story:gap=50", "input": "hi", "stream": True}
    with house.client(key["secret"]) as http:
        with http.stream("POST", "/v1/responses", json=body) as answer:
            next(answer.iter_bytes())
            under_way = http.get("/v1/key").json()["budgets"][0]

        def settled() -> Any:
            state = http.get("/v1/key").json()["budgets"][0]
            return state["reserved_usd"] == "0" and state

        after = until(settled, what="the settlement")

    assert under_way["reserved_usd"] == "0.1", "100 words are expected at the most"
    assert Decimal(after["spent_usd"]) > 0


def test_an_agent_with_a_large_limit_is_let_in_while_little_is_spent(house: Gateway, master: httpx.Client) -> None:
    key = make(master, budgets=own(0.05))
    with house.client(key["secret"]) as http:
        answers = [words(http, 2, max_output_tokens=100_000) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200] * 5


def test_a_team_shares_its_budget(house: Gateway, master: httpx.Client) -> None:
    team = master.post("/v1/teams", json={"name": "sharing", "budgets": own(0.01), "tags": ["of-the-team"]})
    keys = [make(master, team="sharing", tags=["own"]) for _ in range(2)]
    with house.client(keys[0]["secret"]) as one, house.client(keys[1]["secret"]) as two:
        answer = words(one, 10, metadata={"tags": "asked"})
        refused = words(two, 1)

    assert team.status_code == 201
    assert budget_error(refused)["budget"]["scope"] == "team"
    assert house.call(answer.headers["x-tollbook-call-id"])["tags"] == ["own", "of-the-team", "asked"]


def test_a_blocked_team_lets_nobody_in(house: Gateway, master: httpx.Client) -> None:
    key = make(master, team="blocked")
    with house.client(key["secret"]) as http:
        blocked = master.post("/v1/teams/blocked/block").json()
        refused = ask(http, "simulated/echo")
        master.post("/v1/teams/blocked/unblock")
        again = ask(http, "simulated/echo")

    assert blocked["blocked"] is True
    assert (refused.status_code, error_of(refused)["code"]) == (401, "team_blocked")
    assert again.status_code == 200


def test_each_end_user_has_a_budget_of_their_own(house: Gateway, master: httpx.Client) -> None:
    key = make(master)
    with house.client(key["secret"]) as http:
        spent = words(http, 12, user="ann")
        refused = words(http, 1, user="ann")
        other = words(http, 1, safety_identifier="bob")
        nobody = words(http, 20)

    assert [answer.status_code for answer in (spent, refused, other, nobody)] == [200, 429, 200, 200]
    assert budget_error(refused)["budget"]["name"] == "end_user_budget"
    shown = master.get("/v1/budgets/end_user_budget").json()
    assert shown["configured"] is True
    assert {each["end_user"]: each["spent_usd"] for each in shown["end_users"]} == {"ann": "0.012", "bob": "0.001"}


def test_a_model_has_a_budget_under_each_of_its_names_and_warns_before_its_end(
    house: Gateway, master: httpx.Client
) -> None:
    key = make(master)
    with house.client(key["secret"]) as http:
        first = ask(http, "cheap", "one two three four five six seven eight nine ten")
        second = ask(http, "capped/echo:words=20")
        refused = ask(http, "cheap")

    assert "x-tollbook-notes" not in first.headers
    assert second.headers["x-tollbook-notes"].startswith("budget capped: $0.0")
    assert budget_error(refused)["budget"]["name"] == "capped"
    assert house.log.count("tollbook.budget.threshold: the budget 'capped'") == 1


def test_a_budget_of_the_command_line_counts_while_the_gateway_runs(house: Gateway, master: httpx.Client) -> None:
    key = make(master)
    place = ("--data-dir", str(house.data), "--config", str(house.folder / "config.yaml"))
    made = house.run("budgets", "create", "--key", key["alias"], "--amount", "0", "--window", "total", *place)
    assert made.returncode == 0, made.stderr
    since = time.monotonic()

    with house.client(key["secret"]) as http:
        until(lambda: words(http, 1).status_code == 429, what="the budget")
        assert time.monotonic() - since < 1.5
        name = f"key:{key['alias']}:total"
        edited = house.run("budgets", "edit", name, "--amount", "5", *place)
        assert edited.returncode == 0, edited.stderr
        until(lambda: words(http, 1).status_code == 200, what="the larger budget")
    listed = house.run("budgets", "list", *place).stdout
    assert name in listed
    assert "end_user_budget" in listed


def test_a_budget_begins_again_when_it_is_told_to(house: Gateway, master: httpx.Client) -> None:
    key = make(master, budgets=own(0.001, "total"))
    budget = key["budgets"][0]["id"]
    with house.client(key["secret"]) as http:
        words(http, 1)
        refused = words(http, 1)
        reset = master.post(f"/v1/budgets/{budget}/reset").json()
        again = words(http, 1)

    assert budget_error(refused)["budget"]["resets_at"] is None
    assert refused.headers["retry-after"] == "86400"
    assert reset["spent_usd"] == "0"
    assert again.status_code == 200


# ── Limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_requests_a_minute_are_told_as_openai_tells_them(house: Gateway, master: httpx.Client) -> None:
    key = make(master, rpm=2, tpm=10_000)
    with house.client(key["secret"]) as http:
        answers = [words(http, 1) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    headers = answers[0].headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert headers["x-ratelimit-limit-tokens"] == "10000"
    assert 9_000 < int(headers["x-ratelimit-remaining-tokens"]) < 10_000
    assert headers["x-ratelimit-reset-requests"] == "30s"
    assert error_of(answers[2])["code"] == "rate_limited"
    assert error_of(answers[2])["message"] == f"the key '{key['alias']}' is limited to 2 requests per minute."
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    assert "x-should-retry" not in answers[2].headers


def test_an_end_user_can_be_too_hasty(house: Gateway, master: httpx.Client) -> None:
    key = make(master)
    with house.client(key["secret"]) as http:
        answers = [words(http, 1, user=user).status_code for user in ("hasty-1", "hasty-1", "hasty-1", "hasty-2")]

    assert answers == [200, 200, 429, 200]


def test_calls_at_the_same_time_are_limited(house: Gateway, master: httpx.Client) -> None:
    key = make(master, max_parallel_requests=1)
    done: list[int] = []
    with house.client(key["secret"]) as http, house.client(key["secret"]) as other:
        slow = threading.Thread(target=lambda: done.append(ask(http, "simulated/echo:ttft=1500").status_code))
        slow.start()
        refused = until(lambda: (answer := words(other, 1)).status_code == 429 and answer, what="the refusal")
        slow.join()
        again = words(other, 1)

    assert "1 calls under way" in error_of(refused)["message"]
    assert (done, again.status_code) == ([200], 200)


# ── Unpriced models ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_may_refuse_models_whose_price_nobody_knows(house: Gateway, master: httpx.Client) -> None:
    key = make(master, unpriced="block")
    with house.client(key["secret"]) as http:
        refused, priced, mixed = ask(http, "unknown"), ask(http, "simulated/echo"), ask(http, "mixed")

    assert (refused.status_code, error_of(refused)["code"]) == (403, "model_unpriced")
    assert refused.headers["x-tollbook-attempts"] == "0", "nobody was asked"
    assert (priced.status_code, mixed.status_code) == (200, 200)


def test_a_key_may_have_itself_warned_of_them(house: Gateway, master: httpx.Client) -> None:
    key = make(master, unpriced="warn")
    with house.client(key["secret"]) as http:
        warned, priced = ask(http, "unknown"), ask(http, "simulated/echo")

    assert warned.headers["x-tollbook-notes"] == "price: not known"
    assert warned.headers["x-tollbook-attempts"] == "1"
    assert "x-tollbook-notes" not in priced.headers


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_knows_what_it_may_do_and_what_is_left_to_it(house: Gateway, master: httpx.Client) -> None:
    key = make(master, team="knowing", models=["simulated/*"], rpm=60, content="metadata", budgets=own(5, soft=0.8))
    master.patch("/v1/teams/knowing", json={"models": ["simulated/e*"], "tags": ["t"]})
    with house.client(key["secret"]) as http:
        words(http, 3)
        told = http.get("/v1/key").json()

    assert {
        name: told[name] for name in ("id", "alias", "team", "admin", "models", "team_models", "tags", "content")
    } == {
        "id": key["id"],
        "alias": key["alias"],
        "team": "knowing",
        "admin": False,
        "models": ["simulated/*"],
        "team_models": ["simulated/e*"],
        "tags": ["t"],
        "content": "metadata",
    }
    assert [(limit["kind"], limit["limit"], limit["remaining"]) for limit in told["limits"]] == [("requests", 60, 59)]
    (budget,) = told["budgets"]
    assert (budget["spent_usd"], budget["left_usd"], budget["soft"]) == ("0.003", "4.997", 0.8)
    assert master.get("/v1/key").json()["admin"] is True


def test_a_key_is_changed_rotated_blocked_and_all_of_it_is_in_the_audit(house: Gateway, master: httpx.Client) -> None:
    key = make(master, rpm=5)
    at = f"/v1/keys/{key['alias']}"
    with house.client(key["secret"]) as old:
        changed = master.patch(at, json={"rpm": None, "owner": "Ann"}, headers={"x-tollbook-actor": "ann"}).json()
        rotated = master.post(f"{at}/rotate", json={"grace": 3600}).json()
        with house.client(rotated["secret"]) as new:
            both = [words(client, 1).status_code for client in (old, new)]
            ended = master.post(f"{at}/rotate", json={"grace": 0}).json()
            neither = [words(client, 1).status_code for client in (old, new)]
    blocked = master.post(f"{at}/block").json()
    unblocked = master.post(f"{at}/unblock").json()
    shown = master.get(at).json()
    page = master.get("/v1/audit?limit=5").json()
    rest = master.get(f"/v1/audit?limit=1&before={page['data'][-1]['number']}").json()

    assert (changed["rpm"], changed["owner"], changed["alias"]) == (None, "Ann", key["alias"])
    assert (both, neither) == ([200, 200], [401, 401])
    assert rotated["old_secret_until"] is not None
    assert (blocked["blocked"], unblocked["blocked"], shown["hint"]) == (True, False, ended["secret"][-4:])
    assert "secret" not in shown
    assert [(act["action"], act["actor"], act["name"]) for act in page["data"]] == [
        ("unblock", "master", key["alias"]),
        ("block", "master", key["alias"]),
        ("rotate", "master", key["alias"]),
        ("rotate", "master", key["alias"]),
        ("change", "master:ann", key["alias"]),
    ]
    assert page["data"][-1]["details"] == {"rpm": [5, None], "owner": [None, "Ann"]}
    assert (page["has_more"], rest["data"][0]["action"]) == (True, "create")
    assert not any(secret in str(page) for secret in (key["secret"], rotated["secret"], ended["secret"]))


def test_what_is_perhaps_not_meant_is_accepted_with_a_warning(master: httpx.Client) -> None:
    made = make(master, models=["simulated/*", "gpt-6*"], team="brand-new")
    changed = master.patch(f"/v1/keys/{made['id']}", json={"models": ["claude"]}).json()

    assert made["warnings"] == ["no model fits the pattern 'gpt-6*'", "the team 'brand-new' is new"]
    assert changed["warnings"] == ["no model fits the pattern 'claude'"]
    assert changed["models"] == ["claude"]


MISSING, EXCLUSIVE = "missing_required_parameter", "mutually_exclusive_parameters"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param", "code"),
    [
        ("POST", "/keys", {"alias": "x", "colour": "red"}, 400, "colour", "unknown_parameter"),
        ("POST", "/keys", {}, 400, "alias", MISSING),
        ("POST", "/keys", {"alias": "x", "rpm": 0}, 400, "rpm", "invalid_type"),
        ("POST", "/keys", {"alias": "x", "unpriced": "no"}, 400, "unpriced", "invalid_type"),
        ("POST", "/keys", {"alias": "x", "budgets": own(-1)}, 400, "amount_usd", "invalid_value"),
        ("POST", "/keys", {"alias": "x", "budgets": own(1, "0h")}, 400, "window", "invalid_value"),
        (
            "POST",
            "/keys",
            {"alias": "x", "budgets": [{"window": "day"}]},
            400,
            "budgets[0].amount_usd",
            "missing_required_parameter",
        ),
        ("POST", "/keys", {"alias": "x", "budgets": own(1, zone="Mars")}, 400, "zone", "invalid_value"),
        (
            "POST",
            "/budgets",
            {"amount_usd": 1, "window": "day", "key": "a", "team": "b"},
            400,
            "team",
            "mutually_exclusive_parameters",
        ),
        ("POST", "/budgets", {"amount_usd": 1, "window": "day", "key": "nobody"}, 404, None, "key_not_found"),
        ("POST", "/budgets", {"amount_usd": 1, "window": "day", "team": "nobody"}, 404, "team", "team_not_found"),
        ("POST", "/budgets", {"amount_usd": 1, "window": "day", "soft": 2}, 400, "soft", "invalid_value"),
        ("PATCH", "/budgets/capped", {"amount_usd": 1}, 409, None, "budget_is_configured"),
        ("PATCH", "/budgets/nothing", {"amount_usd": 1}, 404, None, "budget_not_found"),
        ("DELETE", "/budgets/nothing", None, 404, None, "budget_not_found"),
        ("PATCH", "/keys/nobody", {"rpm": 1}, 404, None, "key_not_found"),
        ("POST", "/keys/nobody/rotate", None, 404, None, "key_not_found"),
        ("POST", "/teams", {"name": "\n"}, 400, "name", "invalid_request"),
        ("GET", "/teams/nobody", None, 404, None, "team_not_found"),
        ("GET", "/audit?limit=0", None, 400, "limit", "invalid_value"),
    ],
)
def test_what_cannot_be_is_refused_and_named(
    master: httpx.Client, method: str, path: str, body: Any, status: int, param: str | None, code: str
) -> None:
    before = master.get("/v1/audit?limit=1").json()

    refused = master.request(method, f"/v1{path}", json=body)

    assert (refused.status_code, error_of(refused)["param"], error_of(refused)["code"]) == (status, param, code)
    assert master.get("/v1/audit?limit=1").json() == before, "nothing was done"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"[" * 30_000, b'{"alias": NaN}', b"\xff"])
def test_a_body_that_is_no_object_is_refused(master: httpx.Client, raw: bytes) -> None:
    assert error_of(master.post("/v1/keys", content=raw))["type"] == "invalid_request_error"


def test_a_body_that_is_too_large_is_refused(master: httpx.Client) -> None:
    assert error_of(master.post("/v1/keys", json={"alias": "x" * 70_000}))["code"] == "request_too_large"


def test_only_the_master_key_administers(house: Gateway, master: httpx.Client) -> None:
    secret = make(master)["secret"]
    routes = [
        *(
            ("POST", path)
            for path in ("/keys", "/keys/x/rotate", "/keys/x/block", "/teams", "/teams/x/block", "/budgets")
        ),
        *(("GET", path) for path in ("/keys", "/keys/x", "/teams", "/teams/x", "/budgets", "/budgets/x", "/audit")),
        *(("PATCH", path) for path in ("/keys/x", "/teams/x", "/budgets/x")),
        *(("DELETE", path) for path in ("/keys/x", "/teams/x", "/budgets/x")),
        ("POST", "/budgets/x/reset"),
    ]
    with house.client(secret) as nobody, house.client(None) as stranger:
        for method, path in routes:
            assert nobody.request(method, path).status_code == 403, path
            assert stranger.request(method, path).status_code == 401, path
        assert stranger.get("/key").status_code == 401


def test_openapi_tells_what_the_routes_take_and_answer(master: httpx.Client) -> None:
    told = master.get("/docs/openapi.json").json()
    schemas = told["components"]["schemas"]
    for path, method, taken, answered in [
        ("/v1/keys", "post", "NewKey", "Key"),
        ("/v1/keys/{name}", "patch", "KeyChange", "Key"),
        ("/v1/teams", "post", "NewTeam", "Team"),
        ("/v1/budgets", "post", "NewBudget", "Budget"),
        ("/v1/budgets", "get", None, "BudgetList"),
        ("/v1/audit", "get", None, "Audit"),
        ("/v1/key", "get", None, "Own"),
    ]:
        operation = told["paths"][path][method]
        success = next(response for status, response in operation["responses"].items() if status < "300")
        assert success["content"]["application/json"]["schema"]["$ref"].endswith(f"/{answered}")
        assert operation["responses"]["403"]["content"]["application/json"]["schema"]["$ref"].endswith("/Refused")
        if taken:
            assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(f"/{taken}")
    assert schemas["NewKey"]["required"] == ["alias"]
    assert "USD" not in schemas["NewKey"]["properties"]
    assert schemas["NewBudget"]["properties"]["amount_usd"]["description"].startswith("US dollars")


# ── A crash ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_what_was_reserved_when_the_gateway_was_killed_is_free_after_the_next_start(tmp_path: Path) -> None:
    config = {
        "model_list": [{"model_name": "simulated/*", "litellm_params": {"model": "simulated/*", **PRICES}}],
        "general_settings": {"master_key": "os.environ/TOLLBOOK_MASTER_KEY"},
    }
    with running(tmp_path, config, environment={"TOLLBOOK_MASTER_KEY": MASTER}) as gateway:
        with gateway.client() as master:
            key = make(master, budgets=own(5))
        with gateway.client(key["secret"]) as http:
            words(http, 5)
            body = {"model": "simulated/story:gap=100", "input": "hi", "stream": True}
            with http.stream("POST", "/v1/responses", json=body) as answer:
                next(answer.iter_bytes())
                reserved = Decimal(http.get("/v1/key").json()["budgets"][0]["reserved_usd"])
                gateway.kill()
        gateway.start()
        with gateway.client(key["secret"]) as http:

            def settled() -> Any:
                state = http.get("/v1/key").json()["budgets"][0]
                return state["reserved_usd"] == "0" and state

            state = until(settled, what="the settlement")

    assert reserved > 0
    assert Decimal(state["spent_usd"]) >= Decimal("0.005")
    assert "1 calls of a process that was killed are settled" in gateway.log
