"""What a call may cost at the most: the bound that budgets reserve."""

from __future__ import annotations

from typing import Any

import pytest

from tests.storage.making import turn
from tollbook.books import Books
from tollbook.bounds import bound
from tollbook.call import Call
from tollbook.config import config_from
from tollbook.history import History
from tollbook.pricing.book import PriceBook
from tollbook.storage import open_store

DEFAULT = 16_384


@pytest.fixture
async def books() -> Any:
    books = Books(open_store(None), PriceBook())
    yield books
    await books.close()


def route(*places: dict[str, Any]) -> Any:
    """A model with these deployments."""
    entries = [{"model_name": "m", "litellm_params": {"model": "simulated/echo", **params}} for params in places]
    found = config_from({"model_list": entries}, {}).route("m")
    assert found is not None
    return found


def price(read: float, written: float, **more: Any) -> dict[str, Any]:
    """Micro-dollars a token."""
    return {"input_cost_per_token": read / 1e6, "output_cost_per_token": written / 1e6, **more}


@pytest.mark.parametrize(
    ("request_", "read", "written"),
    [
        ({"input": "x" * 400}, 104, DEFAULT),
        ({"input": "x" * 400, "max_output_tokens": 50}, 104, 50),
        ({"input": "x" * 400, "max_output_tokens": -5}, 104, 0),
        ({"input": "", "instructions": "y" * 40, "max_output_tokens": 1}, 14, 1),
        ({"input": [{"content": [{"type": "input_image", "image_url": "https://x"}]}], "max_output_tokens": 1}, 769, 1),
    ],
)
async def test_it_is_the_estimated_input_and_as_much_output_as_the_request_allows(
    books: Books, request_: dict[str, Any], read: int, written: int
) -> None:
    found = bound(books, route(price(1, 10)), request_, History(books.store, None), DEFAULT)

    assert found.cost == read * 1_000 + written * 10_000
    assert found.tokens == max(read, request_.get("max_output_tokens") or 0)


async def test_it_is_priced_by_the_dearest_place_whose_price_is_known(books: Books) -> None:
    request = {"input": "", "max_output_tokens": 100}
    unknown = {"model": "openai_like/nobody-knows", "api_base": "http://127.0.0.1:9/v1", "api_key": "x"}
    history = History(books.store, None)

    assert bound(books, route(price(0, 1), price(0, 7), unknown), request, history, DEFAULT).cost == 700_000
    assert bound(books, route(unknown), request, history, DEFAULT).cost == 0


async def test_a_tier_that_was_asked_for_and_the_standard_one_both_count(books: Books) -> None:
    place = route(price(0, 2, output_cost_per_token_priority=5e-6, input_cost_per_token_priority=0.0))
    request = {"input": "", "max_output_tokens": 100}
    history = History(books.store, None)

    costs = [
        bound(books, place, {**request, "service_tier": tier}, history, DEFAULT).cost
        for tier in ("default", "priority", "flex", None)
    ]

    assert costs == [200_000, 500_000, 200_000, 200_000]


async def test_a_deployment_may_preset_how_much_is_answered(books: Books) -> None:
    places = route(price(0, 1, max_output_tokens=300), price(0, 1, max_output_tokens=200))

    assert bound(books, places, {"input": ""}, History(books.store, None), DEFAULT).cost == 300_000


async def test_a_conversation_counts_as_its_last_turn_reported(books: Books) -> None:
    of = Call(id="call_1", operation="create", started=0)
    parent = turn(of, response={"id": "resp_1", "usage": {"total_tokens": 5000}})
    request = {"input": "", "max_output_tokens": 0}

    assert bound(books, route(price(1, 1)), request, History(books.store, None, parent), DEFAULT).tokens == 5004


async def test_a_number_beyond_all_reason_is_no_error(books: Books) -> None:
    request = {"input": "", "max_output_tokens": 10**40}

    assert bound(books, route(price(1, 1)), request, History(books.store, None), DEFAULT).cost > 0
