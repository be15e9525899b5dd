"""Results: JSON with attributes that loses nothing."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest

import tollbook
from tollbook import Event, FunctionCall, Item, Message, Object, Reasoning, Response
from tollbook.call import FREE, Attempt, Call, Cost
from tollbook.responses.usage import Usage

BODY: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-4o",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hel"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}, {"type": "output_text", "text": "lo"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "hologram", "depth": {"of": [{"field": 3}]}},
    ],
    "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 5, "total_tokens": 8},
    "metadata": {"keys": "mine", "get": "x"},
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
    "brand_new": {"nested": [{"value": 1}]},
    "error": None,
}


def test_fields_are_attributes_and_items_alike() -> None:
    response = Response(BODY)

    assert response.id == response["id"] == response.get("id") == "resp_1"
    assert response.usage is not None
    assert response.usage.input_tokens_details.cached_tokens == 1
    assert response["usage"]["total_tokens"] == 8
    assert "usage" in response
    assert "usages" not in response
    assert response.get("nothing", 7) == 7
    assert dict(response)["model"] == "gpt-4o"


def test_a_named_field_that_is_not_there_is_none_and_any_other_an_error() -> None:
    response = Response(BODY)

    assert response.previous_response_id is None
    assert response.error is None
    with pytest.raises(AttributeError, match="has no field 'colour'"):
        _ = response.colour
    with pytest.raises(KeyError):
        _ = response["previous_response_id"]
    assert not hasattr(response, "_repr_html_")


def test_items_and_events_have_the_class_of_their_type() -> None:
    output = Response(BODY).output

    assert [type(item) for item in output] == [Reasoning, Message, Message, FunctionCall, Item]
    assert all(isinstance(item, Item) for item in output)
    kinds = {
        "response.created": tollbook.ResponseEvent,
        "response.failed": tollbook.ResponseEvent,
        "response.output_item.done": tollbook.ItemEvent,
        "response.reasoning_summary_part.added": tollbook.PartEvent,
        "response.function_call_arguments.delta": tollbook.DeltaEvent,
        "error": tollbook.ErrorEvent,
        "response.hologram.rotated": Event,
        "": Event,
    }
    for name, kind in kinds.items():
        event = Event.of({"type": name, "sequence_number": 1})
        assert type(event) is kind
        assert isinstance(event, Event)
        assert event.type == name


def test_what_is_newer_than_this_code_survives() -> None:
    response = Response(BODY)

    assert response.brand_new.nested[0].value == 1
    assert response.output[4].depth["of"][0].field == 3
    assert response.to_dict() == response.model_dump() == BODY
    assert json.loads(response.model_dump_json()) == json.loads(response.to_json()) == BODY


def test_somebodys_own_keys_stay_a_dictionary() -> None:
    response = Response(BODY)

    assert response.metadata == {"keys": "mine", "get": "x"}
    assert type(response.tools[0].parameters) is dict


def test_a_field_cannot_hide_a_method() -> None:
    """Providers choose names; `model_dump` must work whatever they are."""
    odd = Object({"model_dump": 1, "get": 2, "keys": ["ctrl"], "_fields": 3, "type": None})

    assert odd.model_dump() == {"model_dump": 1, "get": 2, "keys": ["ctrl"], "_fields": 3, "type": None}
    assert odd["get"] == 2
    assert odd.keys == ["ctrl"]


@pytest.mark.parametrize("output", [None, "text", 5, [None, "x", 3], {"type": "message"}])
def test_nonsense_where_items_belong_does_no_harm(output: Any) -> None:
    response = Response({"id": "r", "status": "completed", "output": output, "usage": "many"})

    assert response.output_text == ""
    assert response.output_parsed is None
    assert response.to_dict()["output"] == output


def test_output_text_is_all_that_was_said() -> None:
    assert Response(BODY).output_text == "Hello"
    assert Response({}).output_text == ""


def test_model_dump_chooses_fields() -> None:
    response = Response(BODY)

    assert response.model_dump(include={"id", "error"}) == {"id": "resp_1", "error": None}
    assert "output" not in response.model_dump(exclude={"output"})
    assert "error" not in response.model_dump(exclude_none=True, mode="json")


def test_a_copy_is_equal_and_apart() -> None:
    response = Response(BODY)
    twins = [copy.deepcopy(response), pickle.loads(pickle.dumps(response)), Response(response.to_dict())]

    assert all(twin == response for twin in twins)
    twins[0].output[1].content[0].text = "changed"
    twins[0].metadata["keys"] = "changed"
    assert twins[0].output_text == "changedlo"
    assert response.to_dict() == BODY
    assert Response(BODY) != Object(BODY)


def test_results_do_not_share_with_what_they_were_made_of() -> None:
    body = copy.deepcopy(BODY)
    response = Response(body)
    response.metadata["more"] = "1"  # type: ignore[index]
    response.output.clear()

    assert body == BODY


def test_the_cost_is_exact_and_none_when_unknown() -> None:
    attempt = Attempt(
        1, "d", "openai", "gpt-4o", "initial", 0, usage=Usage(input=1), cost=Cost("priced", total=412_001)
    )
    call = Call("call_1", "create", 0, attempts=[attempt], ended=1)

    assert Response(BODY).cost_usd is None
    assert Response(BODY).made_by(call).cost_usd == Decimal("0.000412001")
    attempt.cost = Cost("unpriced")
    assert Response(BODY).made_by(call).cost_usd is None
    attempt.cost = FREE
    assert Response(BODY).made_by(call).cost_usd == 0
    assert Response(BODY).made_by(Call("call_2", "get", 0, ended=1)).cost_usd is None
