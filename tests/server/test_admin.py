"""The administrator's routes, and what a key may know of itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .asking import error_of
from .house import make, own, words
from .running import Gateway


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


@pytest.mark.parametrize(("content", "kept"), [("full", 200), ("metadata", 404), ("none", 404)])
def test_what_is_kept_of_a_call_is_as_its_key_says(
    house: Gateway, master: httpx.Client, content: str, kept: int
) -> None:
    key = make(master, content=content)
    with house.client(key["secret"]) as http:
        made = words(http, 1, user="somebody")
        got = http.get(f"/v1/responses/{made.json()['id']}")

    assert got.status_code == kept
    assert house.call(made.headers["x-tollbook-call-id"])["cost"]["usd"] == "0.001", "the money always is"


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
