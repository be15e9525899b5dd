"""What must not get out, looked for in everything that comes out: answers, rows, spans, logs and files."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import httpx
import pytest

from .asking import ask, stream, text_of
from .conftest import UPSTREAM_KEY
from .receiver import Collector
from .running import MASTER, Gateway, running
from .upstream import Exchange, Upstream, chat_chunk, chat_whole

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_FRAME = b"\x28\xb5\x2f\xfd"
"""How a zstd frame begins."""


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file's bytes, with everything compressed in them unpacked, and every value of DuckDB's tables."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            raw = path.read_bytes()
            yield path.name, raw
            yield path.name, b"\n".join(_unpacked(raw))
    for path in folder.glob("*.duckdb"):
        with duckdb.connect(str(path), read_only=True) as tables:
            for (name,) in tables.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                for row in tables.execute(f'SELECT * FROM "{name}"').fetchall():
                    values = [value if isinstance(value, bytes) else str(value).encode() for value in row]
                    yield f"{path.name}:{name}", b"\n".join([*values, *_unpacked(b"\n".join(values))])


def _unpacked(raw: bytes) -> Iterator[bytes]:
    for found in re.finditer(re.escape(_FRAME), raw):
        try:
            yield zstd.ZstdDecompressor().decompress(raw[found.start() :])
        except zstd.ZstdError:
            continue


def test_neither_keys_nor_prompts_that_were_not_to_be_stored_reach_the_disk_the_traces_or_the_log(
    tmp_path: Path, upstream: Upstream
) -> None:
    kept, private, answered = ("canary-kept-51ad", "canary-private-f3b0", "canary-answered-907c")

    async def says(x: Exchange) -> None:
        text = f"{answered} {x.json['messages'][-1]['content']}"
        if x.json.get("stream"):
            await x.head(content="text/event-stream")
            await x.event(chat_chunk({"content": text}, "stop"))
        else:
            await x.answer(chat_whole(text))

    async def cuts(x: Exchange) -> None:
        await x.head(content="text/event-stream")
        await x.event(chat_chunk({"content": f"{answered} half"}))

    upstream.scripts |= {"says": says, "cuts": cuts}
    place = {"model": "openai_like/*", "api_base": f"{upstream.url}/v1", "api_key": UPSTREAM_KEY, "max_retries": 0}
    config = {
        "model_list": [{"model_name": "chat/*", "litellm_params": place}],
        "general_settings": {"master_key": "os.environ/TOLLBOOK_MASTER_KEY"},
    }
    with Collector() as collector:
        environment = {"TOLLBOOK_MASTER_KEY": MASTER, **collector.environment}
        with running(tmp_path, config, environment=environment) as gateway, gateway.client() as http:
            secret = http.post("/v1/keys", json={"alias": "ours"}).json()["secret"]
            ask(http, "chat/says", kept)
            with gateway.client(secret) as ours:
                for model in ("chat/says", "chat/cuts", "chat/nobody", "nobody/knows"):
                    ask(ours, model, private, store=False)
                    stream(ours, model, private, store=False)
                one = ask(ours, "chat/says", [{"role": "user", "content": 3, "x": private}], store=False)
                assert one.status_code == 400
                ours.post("/v1/responses", content=f'{{"model": "chat/says", "input": "{private}'.encode())
            answers = http.get("/v1/calls?limit=100").content + http.get("/v1/keys").content
            log_path = gateway.log_path

    log = log_path.read_bytes()
    spans = b"\n".join(collector.raw)
    assert len(collector.spans) > 20
    told = list(contents(tmp_path / "data"))
    assert any(kept.encode() in raw for _, raw in told), "what is stored can be found this way"
    for name, raw in [*told, ("log", log), ("spans", spans), ("answers", answers)]:
        for canary in (UPSTREAM_KEY, MASTER, secret):
            assert canary.encode() not in raw, f"{canary} in {name}"
        assert private.encode() not in raw, f"the prompt is in {name}"
    for name, raw in [("log", log), ("spans", spans), ("answers", answers)]:
        assert kept.encode() not in raw, f"the prompt is in {name}"
        assert answered.encode() not in raw, f"the answer is in {name}"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_provider_that_repeats_our_key_does_not_tell_it_to_the_client(
    gateway: Gateway, http: httpx.Client, upstream: Upstream, streamed: bool
) -> None:
    """Some hosts quote a key that they refuse, whole."""

    async def quotes(x: Exchange) -> None:
        told = f"Incorrect API key provided: {x.headers['authorization'].removeprefix('Bearer ')}. Ask your admin."
        await x.answer({"error": {"message": told, "type": "invalid_request_error", "code": "invalid_api_key"}}, 401)

    upstream.scripts["quotes"] = quotes

    answer = ask(http, "chat/quotes", stream=streamed)

    assert answer.status_code == 401
    assert "Incorrect API key provided: " in answer.text
    call = gateway.call(answer.headers["x-tollbook-call-id"])
    assert UPSTREAM_KEY not in answer.text + json.dumps(call) + gateway.log + str(answer.headers)


def test_a_provider_that_repeats_the_prompt_does_not_tell_it_to_the_traces(
    http: httpx.Client, upstream: Upstream, collector: Collector
) -> None:
    async def quotes(x: Exchange) -> None:
        text = x.json["messages"][0]["content"]
        await x.answer({"error": {"message": f"I will not answer: {text}", "type": "invalid_request_error"}}, 400)

    upstream.scripts["quotes-the-prompt"] = quotes

    answer = ask(http, "chat/quotes-the-prompt", "canary-quoted-e8d1")

    assert "canary-quoted-e8d1" in answer.text
    collector.trace(answer.headers["x-tollbook-trace-id"])
    assert all(b"canary-quoted-e8d1" not in raw for raw in collector.raw)


def test_a_callers_key_is_never_sent_on(http: httpx.Client, upstream: Upstream) -> None:
    async def whole(x: Exchange) -> None:
        await x.answer(chat_whole())

    upstream.scripts["whole"] = whole

    assert text_of(ask(http, "chat/whole").json()) == "hello"

    (exchange,) = upstream.of("whole")
    assert exchange.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert MASTER not in str(exchange.headers)
    assert "traceparent" not in exchange.headers, "strangers get no trace context"
