"""Budgets, limits, teams and the administrator's routes, over HTTP and through the OpenAI SDK."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from .asking import ask, error_of, stream
from .house import PRICES, make, own, words
from .running import MASTER, Gateway, running, until


def budget_error(answer: httpx.Response) -> dict[str, Any]:
    """The error of an exhausted budget, whose facts stand beside OpenAI's four fields."""
    error = answer.json()["error"]
    assert answer.status_code == 429
    assert set(error) == {"message", "type", "param", "code", "budget"}
    assert (error["code"], error["type"], error["param"]) == ("budget_exceeded", "insufficient_quota", None)
    return dict(error)


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
            pieces = answer.iter_bytes()  # which hangs up when it is let go of
            next(pieces)
            under_way = http.get("/v1/key").json()["budgets"][0]

        def settled() -> Any:
            state = http.get("/v1/key").json()["budgets"][0]
            return state["reserved_usd"] == "0" and state

        after = until(settled, what="the settlement")

    assert under_way["reserved_usd"] == "0.1", "100 words are expected at the most"
    assert Decimal(after["spent_usd"]) > 0


def test_a_client_with_a_large_limit_is_let_in_while_little_is_spent(house: Gateway, master: httpx.Client) -> None:
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
    spent = {each["end_user"]: each["spent_usd"] for each in shown["end_users"]}
    assert (spent["ann"], spent["bob"]) == ("0.012", "0.001")


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
    body = {"model": "simulated/story:gap=20", "input": "hi", "stream": True}
    with house.client(key["secret"]) as http, house.client(key["secret"]) as other:
        with http.stream("POST", "/v1/responses", json=body) as under_way:
            pieces = under_way.iter_bytes()
            next(pieces)
            refused = words(other, 1)
            for _ in pieces:
                pass
        again = words(other, 1)

    assert refused.status_code == 429
    assert "1 calls under way" in error_of(refused)["message"]
    assert again.status_code == 200


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
                pieces = answer.iter_bytes()  # which hangs up when it is let go of
                heard = b""
                while heard.count(b"event: response.output_text.delta") < 25:  # how much has come is noted each second
                    heard += next(pieces)
                reserved = Decimal(http.get("/v1/key").json()["budgets"][0]["reserved_usd"])
                gateway.kill()
        gateway.start()
        with gateway.client(key["secret"]) as http:

            def settled() -> Any:
                state = http.get("/v1/key").json()["budgets"][0]
                return state["reserved_usd"] == "0" and state

            state = until(settled, what="the settlement")

    assert reserved > 0
    assert Decimal(state["spent_usd"]) > Decimal("0.005"), "what was heard of the killed one is paid for, too"
    assert "1 calls of a killed process are settled" in gateway.log
