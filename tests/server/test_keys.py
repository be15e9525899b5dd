"""Who may come in: the master key, virtual keys, and nobody else; each sees what it made."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from .asking import ask, error_of, stream
from .running import MASTER, Gateway, until


def _refused(gateway: Gateway, secret: str) -> Callable[[], bool]:
    def look() -> bool:
        with gateway.client(secret) as http:
            return ask(http, "simulated/echo").status_code == 401

    return look


def test_a_key_is_made_used_listed_and_revoked(gateway: Gateway, http: httpx.Client) -> None:
    made = http.post("/v1/keys", json={"alias": "alice", "team": "research", "owner": "Alice"})
    secret, identifier = made.json()["secret"], made.json()["id"]
    with gateway.client(secret) as alice:
        answer = ask(alice, "simulated/echo")
    listed = [key for key in http.get("/v1/keys").json()["data"] if key["id"] == identifier]
    revoked = http.delete(f"/v1/keys/{identifier}")
    since = time.monotonic()

    assert made.status_code == 201
    assert answer.status_code == 200
    call = gateway.call(answer.headers["x-tollbook-call-id"])
    assert (call["key_id"], call["key_alias"], call["team"]) == (identifier, "alice", "research")
    assert listed[0]["alias"] == "alice"
    assert secret not in str(listed)
    assert "secret" not in listed[0]
    assert revoked.json() == {"id": identifier, "object": "key", "revoked": True}
    until(_refused(gateway, secret), what="the end of the key")
    assert time.monotonic() - since < 1.5
    assert identifier not in http.get("/v1/keys").text
    assert identifier in http.get("/v1/keys?revoked=true").text


def test_a_key_of_the_command_line_counts_while_the_gateway_runs(gateway: Gateway) -> None:
    made = gateway.run("keys", "create", "from-the-shell", "--model", "simulated/*", "--data-dir", str(gateway.data))
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    since = time.monotonic()

    def enters() -> bool:
        with gateway.client(secret) as http:
            return ask(http, "simulated/echo").status_code == 200

    until(enters, what="the key's first use")
    assert time.monotonic() - since < 1.5
    assert "from-the-shell" in gateway.run("keys", "list", "--data-dir", str(gateway.data)).stdout
    assert gateway.run("keys", "revoke", "from-the-shell", "--data-dir", str(gateway.data)).returncode == 0
    since = time.monotonic()
    until(_refused(gateway, secret), what="the end of the key")
    assert time.monotonic() - since < 1.5


def test_a_key_sees_its_own_responses_and_calls_only(gateway: Gateway, http: httpx.Client) -> None:
    secrets = [http.post("/v1/keys", json={"alias": alias}).json()["secret"] for alias in ("one", "two")]
    with gateway.client(secrets[0]) as one, gateway.client(secrets[1]) as two:
        ours = ask(one, "simulated/echo")
        theirs = ask(two, "simulated/echo")
        own = theirs.json()["id"]

        assert one.get(f"/v1/responses/{own}").status_code == 404
        assert two.get(f"/v1/responses/{own}").status_code == 200
        assert http.get(f"/v1/responses/{own}").status_code == 200, "the master key sees all"
        assert one.get(f"/v1/calls/{theirs.headers['x-tollbook-call-id']}").status_code == 404
        assert {call["key_alias"] for call in one.get("/v1/calls").json()["data"]} == {"one"}
        assert ours.headers["x-tollbook-call-id"] in one.get("/v1/calls").text
        assert {"one", "two"} <= {call["key_alias"] for call in http.get("/v1/calls?limit=100").json()["data"]}
        item = theirs.json()["output"][0]["id"]
        stolen = ask(one, "simulated/echo", [{"type": "item_reference", "id": item}])
        assert stolen.status_code == 404
        own_reference = ask(two, "simulated/echo", [{"type": "item_reference", "id": item}])
        assert own_reference.status_code == 200


def test_a_key_may_use_its_models_only(gateway: Gateway, http: httpx.Client) -> None:
    body = {"alias": "narrow", "models": ["simulated/ec*", "org/*"]}
    secret = http.post("/v1/keys", json=body).json()["secret"]
    with gateway.client(secret) as narrow:
        assert ask(narrow, "simulated/echo").status_code == 200
        assert ask(narrow, "org/team/deep").status_code == 200
        refused = ask(narrow, "simulated/story")
        told = stream(narrow, "simulated/story")
        names = {model["id"] for model in narrow.get("/v1/models").json()["data"]}

    assert refused.status_code == told.status == 403
    assert error_of(refused)["type"] == "permission_error"
    assert gateway.call(refused.headers["x-tollbook-call-id"])["outcome"] == "rejected"
    assert "org/team/deep" in names
    assert "again/*" not in names


def test_only_the_master_key_manages_keys(gateway: Gateway, http: httpx.Client) -> None:
    made = http.post("/v1/keys", json={"alias": "ambitious"}).json()
    with gateway.client(made["secret"]) as ambitious, gateway.client("sk-wrong") as stranger:
        for method, path in [
            ("POST", "/v1/keys"),
            ("GET", "/v1/keys"),
            ("DELETE", "/v1/keys/x"),
            ("GET", "/deployments"),
        ]:
            assert error_of(ambitious.request(method, path))["type"] == "permission_error"
            assert error_of(stranger.request(method, path))["type"] == "authentication_error"


def test_a_key_can_expire(gateway: Gateway, http: httpx.Client) -> None:
    secret = http.post("/v1/keys", json={"alias": "brief", "expires": time.time() + 1}).json()["secret"]

    with gateway.client(secret) as brief:
        assert ask(brief, "simulated/echo").status_code == 200
        expired = until(
            lambda: (answer := ask(brief, "simulated/echo")).status_code == 401 and answer, what="the key's end"
        )
    assert error_of(expired)["code"] == "key_expired"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"alias": 3}, "alias"),
        ({"alias": "x", "models": "all"}, "models"),
        ({"alias": "x", "expires": "tomorrow"}, "expires"),
        ({"alias": "x", "expires": 1}, "expires"),
        ({"alias": "x", "colour": "red"}, "colour"),
        ({"alias": "x\n"}, "alias"),
        ([], None),
    ],
)
def test_a_key_that_cannot_be_is_refused(http: httpx.Client, body: object, param: str | None) -> None:
    refused = http.post("/v1/keys", json=body)

    assert refused.status_code == 400
    assert error_of(refused)["param"] == param


@pytest.mark.parametrize("header", ["authorization", "api-key", "x-api-key"])
def test_the_key_may_come_in_any_usual_header(gateway: Gateway, header: str) -> None:
    value = f"Bearer {MASTER}" if header == "authorization" else MASTER
    with gateway.client(None) as http:
        assert http.get("/v1/models", headers={header: value}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com"])
def test_without_a_master_key_others_are_not_served(tmp_path: Path, host: str) -> None:
    refused = Gateway(tmp_path, key=None).run("--host", host, "--port", "0", "--data-dir", str(tmp_path / "data"))

    assert refused.returncode == 2
    assert "master key" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_without_a_master_key_it_is_said_who_is_served(gateway: Gateway, tmp_path: Path) -> None:
    open_to_all = Gateway(tmp_path, key=None).start()
    try:
        with open_to_all.client() as anybody, open_to_all.client("whatever") as somebody:
            made = ask(anybody, "simulated/echo").json()
            assert somebody.get(f"/v1/responses/{made['id']}").json() == made
        assert "no master key: open to this machine only" in open_to_all.log
        assert "no master key" not in gateway.log
    finally:
        open_to_all.stop()
