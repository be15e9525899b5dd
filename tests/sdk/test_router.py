"""`Router` and the functions of the package: the server's pipeline in this process."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from openai.types.responses import ResponseOutputMessage

import tollbook
from tollbook import Router
from tollbook.config import config_from, load_config

from .loopback import deployment, provider

SIMULATED = [{"model_name": "echo", "litellm_params": {"model": "simulated/echo"}}]


# ------------------------------------------------------------------------------------------------ session continuity


async def test_a_follow_up_goes_to_the_deployment_that_made_its_parent() -> None:
    with provider() as one, provider() as two:
        listed = [deployment(one.url), deployment(two.url)]
        async with Router(listed, optional_pre_call_checks=["responses_api_deployment_check"]) as router:
            for _ in range(12):
                made = await router.aresponses(model="gpt", input="first")
                owner = one if one.url.endswith(made.id.split("_")[1]) else two
                for _ in range(3):
                    made = await router.aresponses(model="gpt", input="next", previous_response_id=made.id)
                    assert owner.bodies[-1]["previous_response_id"]
                    assert made.id.startswith(f"resp_{owner.url.rpartition(':')[2]}_")

    assert one.asked
    assert two.asked


def test_a_conversation_goes_on_after_a_restart(tmp_path: Path) -> None:
    with Router(SIMULATED, store=tmp_path) as before:
        parent = before.responses("my name is Ada", "echo")
    with Router(SIMULATED, store=tmp_path) as after:
        answer = after.responses("what is my name?", "echo", previous_response_id=parent.id)
        listed = after.list_input_items(answer.id, order="asc", limit=2)
        rest = after.list_input_items(answer.id, order="asc", after=listed.last_id)

    assert "the first was: my name is Ada" in answer.output_text
    assert [item.role for item in listed.data] == ["user", "assistant"]
    assert listed.has_more
    assert [item["content"][0]["text"] for item in rest.data] == ["what is my name?"]


def test_memory_ends_with_the_router() -> None:
    with Router(SIMULATED, store=":memory:") as router:
        made = router.responses("hi", "echo")
        assert router.get_responses(made.id) == made
    with Router(SIMULATED, store=":memory:") as router, pytest.raises(tollbook.NotFound):
        router.get_responses(made.id)


def test_a_store_that_is_off_keeps_nothing() -> None:
    with Router(SIMULATED, store=None) as router:
        made = router.responses("hi", "echo")
        assert made.cost_usd is not None
        for ask in (router.get_responses, router.delete_responses, router.cancel_responses, router.list_input_items):
            with pytest.raises(tollbook.NotFound):
                ask(made.id)
        with pytest.raises(tollbook.NotFound) as told:
            router.responses("and?", "echo", previous_response_id=made.id)
        assert told.value.code == "previous_response_not_found"


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    script = "import sys, tollbook; tollbook.Router(store=sys.argv[1]).responses('hi', 'simulated/echo')"
    with Router(store=tmp_path) as router:
        router.responses("hi", "simulated/echo")
        other = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
        )

    assert other.returncode == 1
    assert "One process at a time may own it" in other.stderr


@pytest.mark.parametrize("where", ["environment", "settings"])
def test_the_folder_may_be_configured(where: str, tmp_path: Path) -> None:
    folder = tmp_path / "books"
    settings = {"data_dir": str(folder)} if where == "settings" else {}
    if where == "environment":
        os.environ["TOLLBOOK_DATA_DIR"] = str(folder)
    with Router(SIMULATED, general_settings=settings) as router:
        router.responses("hi", "echo")

    assert (folder / "tollbook.duckdb").is_file()


# ------------------------------------------------------------------------------------------------------ configuration


def test_a_router_and_the_server_accept_the_same(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "model_list:\n  - model_name: gpt\n    litellm_params: {model: openai/gpt-4o, api_key: os.environ/A_KEY}\n"
        "router_settings: {num_retries: 1, optional_pre_call_checks: [responses_api_deployment_check]}\n"
        "general_settings: {retention_days: 3}\n"
    )
    os.environ["A_KEY"] = "sk-from-environment"
    model_list = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "os.environ/A_KEY"}}]
    checks = ["responses_api_deployment_check"]

    from_file = Router.from_config(file)._config
    same = [
        Router(model_list, num_retries=1, optional_pre_call_checks=checks, general_settings={"retention_days": 3}),
        Router(
            model_list=model_list,
            router_settings={"num_retries": 1, "optional_pre_call_checks": checks},
            general_settings={"retention_days": 3},
        ),
    ]

    assert from_file == load_config(file, os.environ)
    for router in same:
        assert router._config.routes == from_file.routes
        assert router._config.router == from_file.router
        assert router._config.general == from_file.general
    mapping = {"model_list": model_list, "router_settings": {"num_retries": 1, "optional_pre_call_checks": checks}}
    assert config_from(mapping, os.environ).router == from_file.router


def test_what_is_wrong_is_told_at_once_and_all_together() -> None:
    with pytest.raises(tollbook.ConfigError) as told:
        Router([{"model_name": "a", "litellm_params": {"model": "nobody"}}], num_retris=3)

    assert "router_settings.num_retris: unknown key" in told.value.message
    assert "model_list[0].litellm_params.model" in told.value.message


def test_what_is_understood_and_not_used_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tollbook"):
        Router(SIMULATED, redis_host="localhost")

    assert "redis_host" in caplog.text


# ------------------------------------------------------------------------------------------------- keywords of a call


def test_a_call_may_bring_its_own_place() -> None:
    """Nothing is in the environment: what the call says is enough, and what it made can be got and deleted there."""
    with provider() as upstream:
        made = tollbook.responses(
            model="openai/some-model",
            input="hi",
            api_key="sk-mine",
            api_base=f"{upstream.url}/v1",
            extra_headers={"x-team": "research"},
            extra_query={"preview": "1", "flag": ["a", "b"]},
            extra_body={"hidden": {"deep": 1}},
            top_k=None,
            brand_new_parameter={"works": True},
        )
        again = tollbook.responses(
            model="openai/some-model", input="hi", base_url=upstream.url, custom_llm_provider="openai"
        )
        deleted = tollbook.delete_responses(made.id)

    asked = upstream.asked[0]
    assert asked.path == "/v1/responses?preview=1&flag=a&flag=b"
    assert asked.headers["authorization"] == "Bearer sk-mine"
    assert asked.headers["x-team"] == "research"
    assert asked.body == {
        "model": "some-model",
        "input": "hi",
        "hidden": {"deep": 1},
        "brand_new_parameter": {"works": True},
    }
    assert "authorization" not in upstream.asked[1].headers
    assert again.output_text == "Once upon a time."
    assert deleted.deleted
    assert (upstream.asked[2].method, upstream.asked[2].path.partition("?")[0]) == (
        "DELETE",
        f"/v1/responses/{made.id}",
    )
    assert upstream.asked[2].headers["authorization"] == "Bearer sk-mine"


def test_in_a_router_they_are_laid_over_the_deployment() -> None:
    with provider() as configured, provider() as elsewhere:
        entry = deployment(configured.url, extra_headers={"x-a": "1"}, extra_body={"a": 1}, base_model="openai/gpt-4o")
        with Router([entry]) as router:
            first = router.responses("hi", "gpt", api_key="sk-other", extra_headers={"x-b": "2"}, extra_body={"b": 2})
            next_ = router.responses("hi", "gpt", previous_response_id=first.id)
            moved = router.responses("hi", "gpt", previous_response_id=next_.id, api_base=f"{elsewhere.url}/v1")
            router.responses("hi", "gpt")

    asked, *others = configured.asked
    assert asked.headers["authorization"] == "Bearer sk-other"
    assert (asked.headers["x-a"], asked.headers["x-b"]) == ("1", "2")
    assert (asked.body["a"], asked.body["b"]) == (1, 2)
    assert [each.headers["authorization"] for each in others] == ["Bearer sk-test"] * 2
    assert [each.body.get("b") for each in others] == [None] * 2
    assert others[0].body["previous_response_id"] == first.id
    # Another address is another deployment: it does not know the parent, so it is told the whole conversation.
    assert "previous_response_id" not in elsewhere.bodies[0]
    assert len(elsewhere.bodies[0]["input"]) == 5
    assert first.cost_usd == moved.cost_usd == Decimal("0.000065")


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"api_base": "ftp://x"}, "api_base: expected a URL"),
        ({"timeout": -1}, "timeout: must be above 0"),
        ({"aws_region_name": "us-east-1"}, "aws_region_name: is for bedrock"),
        ({"input_cost_per_token": 1e-6}, "own prices need"),
        ({"metadata": {1: "x"}}, "keys must be strings"),
        ({"metadata": {"x": object()}}, "object is nothing that JSON can say"),
        ({"temperature": float("nan")}, "not a finite number"),
        ({"instructions": "a\0b"}, "NUL characters"),
        ({"tools": "hammer"}, "Invalid type for 'tools"),
        ({"mock_response": "free!"}, "cannot represent: mock_response"),
        ({"num_retries": -1}, "num_retries"),
    ],
)
def test_a_wrong_keyword_is_refused_before_anything_is_sent(keywords: dict[str, Any], said: str) -> None:
    os.environ["OPENAI_API_KEY"] = "sk-test"
    with pytest.raises(tollbook.InvalidRequest, match=said):
        tollbook.responses(**{"model": "openai/gpt-4o", "input": "hi", "api_base": "http://127.0.0.1:9", **keywords})


def test_a_structure_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(tollbook.InvalidRequest, match="nested"):
        tollbook.responses(model="simulated/echo", input=endless)


@pytest.mark.parametrize("timeout", [0.8, httpx.Timeout(5.0, read=0.8), SimpleNamespace(read=0.8, connect=None)])
def test_a_timeout_ends_the_call(timeout: Any) -> None:
    with (
        provider(first=1.6) as upstream,
        Router([deployment(upstream.url)], store=None) as router,
        pytest.raises(tollbook.UpstreamError) as told,
    ):
        router.responses("hi", "gpt", timeout=timeout, num_retries=0)

    assert told.value.kind == "timeout"
    assert len(upstream.asked) == 1


def test_output_may_be_given_back_as_input() -> None:
    """Ours, OpenAI's own objects, and dictionaries alike."""
    theirs = ResponseOutputMessage.model_validate(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "theirs", "annotations": []}],
        }
    )
    with provider() as upstream, Router([deployment(upstream.url)], store=None) as router:
        ours = router.responses("hi", "gpt").output
        router.responses([*ours, theirs, {"role": "user", "content": "and?"}], "gpt")

    sent = upstream.bodies[1]["input"]
    assert sent[0] == ours[0].to_dict()
    assert sent[1]["content"] == [{"type": "output_text", "text": "theirs", "annotations": []}]
    assert "phase" not in sent[1]
    assert sent[2] == {"role": "user", "content": "and?"}


# ----------------------------------------------------------------------------------------------------- the environment


def test_the_environment_counts_as_it_is_at_each_call() -> None:
    with provider() as one, provider() as two:
        os.environ["OPENAI_API_KEY"], os.environ["OPENAI_BASE_URL"] = "sk-1", f"{one.url}/v1"
        tollbook.responses(model="openai/gpt-4o", input="hi")
        tollbook.responses(model="gpt-4o", input="hi")
        os.environ["OPENAI_API_KEY"], os.environ["OPENAI_BASE_URL"] = "sk-2", f"{two.url}/v1"
        parent = tollbook.responses(model="openai/gpt-4o", input="hi")
        os.environ["SOMETHING_ELSE"] = "1"
        tollbook.responses(model="openai/gpt-4o", input="hi", previous_response_id=parent.id)

    assert [each.headers["authorization"] for each in one.asked] == ["Bearer sk-1"] * 2
    assert [each.headers["authorization"] for each in two.asked] == ["Bearer sk-2"] * 2
    assert two.bodies[1]["previous_response_id"] == parent.id


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("openai/gpt-4o", "OPENAI_API_KEY"),
        ("nobody/knows", "Unknown provider 'nobody'"),
        ("nothing", "which provider"),
        ("", "model"),
        ("openai/*", "does not exist"),
    ],
)
def test_what_is_missing_is_named(model: str, said: str) -> None:
    with pytest.raises(tollbook.TollbookError, match=said.replace("*", r"\*")):
        tollbook.responses(model=model, input="hi")


# ------------------------------------------------------------------------------------------------------ books and failures


def test_the_result_tells_attempts_cost_and_notes() -> None:
    with provider(status=500) as broken, provider() as sound:
        listed = [deployment(broken.url, "first"), deployment(sound.url, "second")]
        with Router(listed, store=None, fallbacks=[{"first": ["second"]}], num_retries=0) as router:
            response = router.responses("hi", "first", user="ada", metadata={"tags": "a,b"})

    call = response.call
    assert call is not None
    assert [(each.outcome, each.error_kind) for each in call.attempts] == [("failed", "server"), ("completed", None)]
    assert (call.end_user, call.tags) == ("ada", ("a", "b"))
    assert call.id.startswith("call_")
    assert response.cost_usd == Decimal("0.000065")


def test_failures_are_one_tree() -> None:
    with provider(status=429) as upstream, Router([deployment(upstream.url)], store=None, num_retries=0) as router:
        with pytest.raises(tollbook.TollbookError) as told:
            router.responses("hi", "gpt", stream=True)
        with pytest.raises(tollbook.NotFound, match="does not exist"):
            router.responses("hi", "another")

    assert isinstance(told.value, tollbook.UpstreamError)
    assert (told.value.kind, told.value.status) == ("rate_limit", 429)


def test_a_failure_in_the_middle_is_told_by_the_last_two_events() -> None:
    with Router(store=None, num_retries=0) as router:
        stream = router.responses("hi", "simulated/story:cut=5", stream=True)
        *_, error, failed = stream

    assert isinstance(error, tollbook.ErrorEvent)
    assert failed.type == "response.failed"
    assert stream.response is not None
    assert stream.response.status == "failed"
    assert stream.response.output_text.startswith("Once upon a time a")
    assert stream.call.outcome == "failed"


def test_a_stream_adds_up_to_the_response() -> None:
    with Router(SIMULATED) as router:
        stream = router.responses("hi there", "echo", stream=True)
        events = list(stream)
        assert stream.response is not None
        again = list(router.get_responses(stream.response.id, stream=True))
        late = list(router.get_responses(stream.response.id, stream=True, starting_after=3))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    said = "".join(event.delta for event in events if isinstance(event, tollbook.DeltaEvent))
    assert said == stream.response.output_text != ""
    assert stream.response.cost_usd is not None
    assert stream.response.cost_usd > 0
    assert stream.call.outcome == "completed"
    assert list(stream) == []
    assert isinstance(again[-1], tollbook.ResponseEvent)
    assert again[-1].response == stream.response
    assert late == again[4:]


def test_pages_have_bounds() -> None:
    with Router(SIMULATED) as router:
        made = router.responses("hi", "echo")
        for wrong in ({"limit": 0}, {"limit": 101}, {"order": "random"}, {"after": "item_x"}):
            with pytest.raises(tollbook.TollbookError):
                router.list_input_items(made.id, **wrong)


def test_only_what_runs_in_background_is_cancelled() -> None:
    with Router(SIMULATED) as router:
        made = router.responses("hi", "echo")
        with pytest.raises(tollbook.InvalidRequest, match="background"):
            router.cancel_responses(made.id)


async def test_every_verb_has_an_asynchronous_form() -> None:
    made = await tollbook.aresponses(model="simulated/echo", input="hi")
    follow = await tollbook.aresponses("and?", "simulated/echo", previous_response_id=made.id)

    assert await tollbook.aget_responses(made.id) == made
    assert len((await tollbook.alist_input_items(follow.id)).data) == 3
    assert [event async for event in await tollbook.aget_responses(made.id, stream=True)][
        -1
    ].type == "response.completed"
    with pytest.raises(tollbook.InvalidRequest):
        await tollbook.acancel_responses(made.id)
    assert (await tollbook.adelete_responses(made.id)).deleted
    with pytest.raises(tollbook.NotFound):
        await tollbook.aget_responses(made.id)


# ---------------------------------------------------------------------------------------------------------------- ending


def test_a_closed_router_says_so() -> None:
    router = Router(SIMULATED)
    router.responses("hi", "echo")
    router.close()
    router.close()

    with pytest.raises(RuntimeError, match="closed"):
        router.responses("hi", "echo")
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(router.aresponses("hi", "echo"))


def test_a_router_that_was_never_used_closes() -> None:
    with Router(SIMULATED):
        pass


def test_what_is_open_at_exit_is_booked(tmp_path: Path) -> None:
    """No close, no with: a script that just ends, one stream half read."""
    import duckdb

    script = (
        "import sys, tollbook\n"
        "router = tollbook.Router(store=sys.argv[1])\n"
        "whole = router.responses('hi', 'simulated/echo')\n"
        "half = router.responses('hi', 'simulated/echo:gap=50', stream=True)\n"
        "next(half)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    with duckdb.connect(str(tmp_path / "tollbook.duckdb"), read_only=True) as books:
        found = books.execute("SELECT outcome FROM spend WHERE answered ORDER BY started").fetchall()
    assert found == [("completed",), ("client_disconnected",)]
