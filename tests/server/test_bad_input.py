"""What a client can do wrong: one clear error in OpenAI's shape, a finished span, a row - and the gateway goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .asking import ask, error_of, stream, text_of
from .receiver import SERVER, Collector
from .running import MASTER, Gateway

GOOD = {"model": "simulated/echo", "input": "x"}


@pytest.fixture(autouse=True)
def _goes_on(http: httpx.Client) -> Iterator[None]:
    yield
    assert text_of(ask(http, "simulated/echo", "still there").json()).startswith("You said: still there.")


def refused(answer: httpx.Response, status: int, gateway: Gateway, collector: Collector) -> dict[str, Any]:
    """The error of a refused call, after its row and its span were found to tell the same."""
    assert answer.status_code == status, answer.text
    error = error_of(answer)
    call = gateway.call(answer.headers["x-tollbook-call-id"])
    assert call["outcome"] == ("rejected" if not call["attempts"] else "failed")
    assert call["status"] == status
    assert {name: call["error"][name] for name in ("type", "code", "param", "message")} == error
    spans = collector.trace(answer.headers["x-tollbook-trace-id"])
    (server,) = [span for span in spans if span.kind == SERVER]
    assert server.attributes["http.response.status_code"] == status
    assert server.attributes["tollbook.request.id"] == call["id"]
    assert all(span.end >= span.start > 0 for span in spans)
    return error


BAD_JSON = {
    "empty": b"",
    "blank": b" \n ",
    "malformed": b'{"model": ',
    "trailing": b'{"model":"simulated/echo","input":"x"} x',
    "no object": b'"simulated/echo"',
    "a list": b"[1]",
    "null": b"null",
    "not UTF-8": b'{"model":"simulated/echo","input":"\xff\xfe"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "a lone surrogate": rb'{"model":"simulated/echo","input":"\ud800"}',
    "NUL": rb'{"model":"simulated/echo","input":"a\u0000b"}',
    "NUL in a key": rb'{"model":"simulated/echo","input":"x","a\u0000":1}',
    "a raw NUL": b'{"model":"simulated/echo","input":"a\x00b"}',
    "a duplicate key": b'{"model":"simulated/echo","input":"x","model":"simulated/story"}',
    "an escaped duplicate key": rb'{"model":"simulated/echo","input":"x","mode\u006c":"simulated/story"}',
    "1e400": b'{"model":"simulated/echo","input":"x","temperature":1e400}',
    "NaN": b'{"model":"simulated/echo","input":"x","temperature":NaN}',
    "deep nesting": b'{"model":"simulated/echo","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "less deep nesting": b'{"model":"simulated/echo","input":"x","metadata":' + b'{"a":' * 70 + b"1" + b"}" * 71,
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_a_body_that_is_no_json_object_is_refused(
    gateway: Gateway, http: httpx.Client, collector: Collector, body: bytes
) -> None:
    answer = http.post("/v1/responses", content=body, headers={"content-type": "application/json"})

    error = refused(answer, 400, gateway, collector)
    assert error["type"] == "invalid_request_error"
    assert error["code"] in ("invalid_json", "invalid_type")


WRONG = {
    "no model": ({"input": "x"}, "model"),
    "a model of null": ({"model": None, "input": "x"}, "model"),
    "an empty model": ({"model": "", "input": "x"}, "model"),
    "a model that is a number": ({**GOOD, "model": 3}, "model"),
    "no input": ({"model": "simulated/echo"}, "input"),
    "an input that is a number": ({**GOOD, "input": 3}, "input"),
    "an item that is no object": ({**GOOD, "input": ["x"]}, "input[0]"),
    "an item that is null": ({**GOOD, "input": [None]}, "input[0]"),
    "a part that is no object": ({**GOOD, "input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
    "a tool that is a text": ({**GOOD, "tools": ["x"]}, "tools[0]"),
    "a temperature that is a text": ({**GOOD, "temperature": "hot"}, "temperature"),
    "a limit that is true": ({**GOOD, "max_output_tokens": True}, "max_output_tokens"),
    "a stream that is a text": ({**GOOD, "stream": "yes"}, "stream"),
    "a store that is a text": ({**GOOD, "store": "no"}, "store"),
    "metadata that is a list": ({**GOOD, "metadata": []}, "metadata"),
    "a text that is a text": ({**GOOD, "text": "x"}, "text"),
    "a reasoning that is a text": ({**GOOD, "reasoning": "high"}, "reasoning"),
    "a parent that is a list": ({**GOOD, "previous_response_id": ["x"]}, "previous_response_id"),
    "a parent and a conversation": (
        {**GOOD, "previous_response_id": "resp_x", "conversation": "conv_x"},
        "previous_response_id",
    ),
}


@pytest.mark.parametrize(("body", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_parameter_of_the_wrong_type_is_named(
    gateway: Gateway, http: httpx.Client, collector: Collector, body: dict[str, Any], param: str
) -> None:
    error = refused(http.post("/v1/responses", json=body), 400, gateway, collector)

    assert error["type"] == "invalid_request_error"
    assert error["param"] == param


STRANGE: dict[str, dict[str, Any]] = {
    "an item without a role": {"input": [{"content": "x"}]},
    "an item of no known type": {"input": [{"type": "telegram", "text": "x"}]},
    "an empty input": {"input": []},
    "a content of null": {"input": [{"role": "user", "content": None}]},
    "a content that is a number": {"input": [{"role": "user", "content": 3}]},
    "a role that is a list": {"input": [{"role": ["user"], "content": "x"}]},
    "a type that is a list": {"input": [{"type": ["message"], "role": "user", "content": "x"}]},
    "a part without a type": {"input": [{"role": "user", "content": [{"text": "x"}]}]},
    "a text of null": {"input": [{"role": "user", "content": [{"type": "input_text", "text": None}]}]},
    "an image of null": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": None}]}]},
    "an image that is a number": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": 3}]}]},
    "an output without its call": {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
    "an output without an id": {"input": [{"type": "function_call_output", "output": {"a": 1}}]},
    "a call without a name": {"input": [{"type": "function_call", "arguments": 3}]},
    "an id that is an object": {"input": [{"role": "user", "content": "x", "id": {"a": 1}}]},
    "a reference without an id": {"input": [{"type": "item_reference"}]},
    "a reference to a list": {"input": [{"type": "item_reference", "id": ["a"]}]},
    "a tool without a name": {"tools": [{"type": "function"}]},
    "a tool without a type": {"tools": [{}]},
    "a tool of a number": {"tools": [{"type": 3, "name": 4}]},
    "a choice of a tool that is not there": {"tool_choice": {"type": "function", "name": "nobody"}},
    "a choice of nothing": {"tool_choice": {}},
    "a namespace of nothing": {"tools": [{"type": "namespace", "name": "n", "tools": None}]},
    "tags that are objects": {"metadata": {"tags": [{"a": 1}]}},
    "an include of a number": {"include": [3, None, {"a": 1}]},
    "a format that is a text": {"text": {"format": "json"}},
    "a schema that is a text": {"text": {"format": {"type": "json_schema", "name": "n", "schema": "s"}}},
    "an effort that is an object": {"reasoning": {"effort": {"a": 1}}},
    "a tier that is empty": {"service_tier": ""},
    "a background of an upstream without one": {"background": True},
    "a stored prompt": {"prompt": {"id": "p"}},
    "a huge number": {"max_output_tokens": 10**30},
    "a negative limit": {"max_output_tokens": -1},
    "a negative temperature": {"temperature": -1e300},
    "a user of 100,000 letters": {"user": "u" * 100_000},
    "unknown fields": {"telegram": {"stop": True}, "client_metadata": {"a": "b"}},
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fields", STRANGE.values(), ids=STRANGE.keys())
def test_strange_content_is_answered_or_refused_but_never_breaks_the_gateway(
    gateway: Gateway, http: httpx.Client, collector: Collector, fields: dict[str, Any], streamed: bool
) -> None:
    answer = http.post("/v1/responses", json={**GOOD, **fields, "stream": streamed})

    if answer.status_code == 200:
        assert gateway.call(answer.headers["x-tollbook-call-id"])["outcome"] in ("completed", "incomplete")
    else:
        refused(answer, 400, gateway, collector)


def test_a_body_over_the_limit_is_413(gateway: Gateway, http: httpx.Client, collector: Collector) -> None:
    limit = 20 * 1024 * 1024
    body = json.dumps({**GOOD, "input": "x" * limit}).encode()

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 2**20):
            yield body[start : start + 2**20]

    announced = http.post("/v1/responses", content=body)
    chunked = http.post("/v1/responses", content=pieces())

    for answer in (announced, chunked):
        error = refused(answer, 413, gateway, collector)
        assert error["code"] == "request_too_large"
        assert str(limit) in error["message"]


def test_a_body_just_under_the_limit_is_served(http: httpx.Client) -> None:
    image = "data:image/png;base64," + "A" * (19 * 1024 * 1024)
    part = {"type": "input_image", "image_url": image}

    answer = ask(http, "simulated/story", [{"role": "user", "content": [part]}], store=False)

    assert answer.status_code == 200


@pytest.mark.parametrize("model", ["nobody/knows", "x" * 5000, "simulated", "../etc/passwd", "*", "simulated/*\u2028"])
def test_an_unknown_model_is_404(
    gateway: Gateway, http: httpx.Client, collector: Collector, model: str, request: pytest.FixtureRequest
) -> None:
    if model.startswith("simulated/"):
        assert ask(http, model).status_code == 200  # the wildcard's star is any text
        return
    error = refused(ask(http, model), 404, gateway, collector)

    assert error["code"] == "model_not_found"
    assert error["param"] == "model"


def _key(http: httpx.Client, alias: str) -> str:
    return str(http.post("/v1/keys", json={"alias": alias}).json()["secret"])


def test_unknown_foreign_and_deleted_ids_are_told_alike(
    gateway: Gateway, http: httpx.Client, collector: Collector
) -> None:
    with gateway.client(_key(http, "ours")) as ours, gateway.client(_key(http, "theirs")) as theirs:
        foreign = ask(theirs, "simulated/echo").json()["id"]
        deleted = ask(ours, "simulated/echo").json()["id"]
        ours.delete(f"/v1/responses/{deleted}")
        unknown = "resp_" + "0" * 32
        told: dict[str, set[str]] = {}
        for identifier in (unknown, foreign, deleted):
            one = f"/v1/responses/{identifier}"
            answers = {
                "get": ours.get(one),
                "stream": ours.get(f"{one}?stream=true"),
                "items": ours.get(f"{one}/input_items"),
                "cancel": ours.post(f"{one}/cancel"),
                "delete": ours.delete(one),
                "follow": ask(ours, "simulated/echo", previous_response_id=identifier),
                "count": ours.post("/v1/responses/input_tokens", json={**GOOD, "previous_response_id": identifier}),
            }
            for verb, answer in answers.items():
                error = refused(answer, 404, gateway, collector)
                told.setdefault(verb, set()).add(json.dumps(error).replace(identifier, "ID"))
            followed = stream(ours, "simulated/echo", previous_response_id=identifier)
            assert followed.status == 404
        assert all(len(each) == 1 for each in told.values()), told
        assert "previous_response_not_found" in told["follow"].pop()
        assert theirs.get(f"/v1/responses/{foreign}").status_code == 200


@pytest.mark.parametrize(
    "identifier", ["x", "resp_%00", "%2e%2e", "resp_%F0%9F%98%80", "r" * 5000, "resp_'; DROP TABLE turns"]
)
def test_an_id_that_cannot_be_is_404(http: httpx.Client, identifier: str) -> None:
    answer = http.get(f"/v1/responses/{identifier}")

    assert answer.status_code == 404
    error_of(answer)


@pytest.mark.parametrize("key", [None, "sk-wrong", "sk-tb-" + "A" * 43, "x" * 7000, "\xe4\xf6"])
def test_without_a_right_key_nothing_is_told(
    gateway: Gateway, http: httpx.Client, collector: Collector, key: str | None
) -> None:
    headers = {b"authorization": b"Bearer " + key.encode("latin-1")} if key else {}
    with gateway.client(None) as nobody:
        for method, path in [("POST", "/v1/responses"), ("GET", "/v1/responses/resp_x"), ("GET", "/v1/models")]:
            answer = nobody.request(method, path, headers=headers, json=GOOD if method == "POST" else None)
            assert answer.status_code == 401
            assert error_of(answer)["type"] == "authentication_error"
            assert answer.headers["www-authenticate"] == "Bearer"
            if key:
                assert key not in answer.text
            if "responses" in path:
                refused(answer, 401, gateway, collector)


def test_a_refused_caller_is_not_read_to_the_end(gateway: Gateway) -> None:
    """A wrong key with a body of a gigabyte costs nothing: the answer comes before the body."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as line:
        line.sendall(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n{")
        assert line.recv(100).startswith(b"HTTP/1.1 401 ")


def test_too_many_headers_are_a_431_with_a_row(gateway: Gateway, http: httpx.Client) -> None:
    answer = http.post("/v1/responses", json=GOOD, headers={f"x-{n}": "y" for n in range(300)})

    assert answer.status_code == 431
    assert answer.json()["error"]["code"] == "headers_too_large"
    assert gateway.call(answer.headers["x-tollbook-call-id"])["outcome"] == "rejected"
    assert http.post("/v1/responses", json=GOOD).status_code == 200


BOMBS = {
    "many headers": b"".join(b"x-%d: y\r\n" % n for n in range(20_000)),
    "a long header": b"x: " + b"y" * 2_000_000 + b"\r\n",
    "a header without an end": b"x" * 500_000,
    "bytes that are no header": b"\x00\xff\xfe : \x01\r\n",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_header_bomb_is_refused_or_dropped(gateway: Gateway, bomb: bytes) -> None:
    """What breaks the parser is refused with 400 in plain text, before there is a call; the rest is 431."""
    body = json.dumps(GOOD).encode()
    head = b"POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + MASTER.encode() + b"\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as line:
        try:
            line.sendall(head + bomb + b"content-length: %d\r\n\r\n" % len(body) + body)
            line.shutdown(socket.SHUT_WR)
            told = line.recv(65536)
        except ConnectionError:
            told = b""
    assert told == b"" or told.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ", b"HTTP/1.1 200 "))


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00", b"POST /v1/responses HTTP/1.1\r\ncontent-length: -1\r\n\r\n"],
)
def test_what_is_no_http_is_refused(gateway: Gateway, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plug:
        plug.sendall(line)
        assert b" 400 " in plug.recv(65536).partition(b"\r\n")[0]
