"""Whatever the order of recording, taking over and deleting: a chain is the walk from a turn to its root, or an error."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.errors import NotFound
from tollbook.storage import Turn
from tollbook.storage.local import LocalStore

from .making import call, turn

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("follow"), st.integers(0, 20)),  # a turn after one of the turns so far, or a new chain
        st.tuples(st.just("again"), st.integers(0, 20)),  # the turn of one that there is, once more
        st.tuples(st.just("delete"), st.integers(0, 20)),
        st.tuples(st.just("take over"), st.just(0)),
    ),
    min_size=1,
    max_size=15,
)


def expected_chain(turns: dict[str, Turn], response_id: str) -> list[Turn] | str:
    """The chain, oldest first, or the id that is missing."""
    chain: list[Turn] = []
    wanted: str | None = response_id
    while wanted is not None:
        if wanted not in turns:
            return wanted
        chain.append(turns[wanted])
        wanted = turns[wanted].previous_response_id
    return chain[::-1]


async def check(steps: list[tuple[str, int]], recent: int) -> None:
    store = LocalStore(None, worker="0", retention_days=None, content=True, recent=recent)
    turns: dict[str, Turn] = {}
    ever: list[str] = []
    calls: list[str] = []
    for step, number in steps:
        chosen = turns.get(ever[number % len(ever)]) if ever else None
        if step == "take over":
            await store.calls(key_id=None, limit=0, before=None)
        elif step == "delete":
            if chosen is not None:
                assert await store.delete(chosen.response_id, "key_1") == chosen
                del turns[chosen.response_id]
        else:
            of = call(attempts=[])
            if step == "again" and chosen is not None:
                made = turn(of, created=chosen.created, response_id=chosen.response_id, status="again")
            else:
                made = turn(of, chosen)
                ever.append(made.response_id)
            calls.append(of.id)
            turns[made.response_id] = made
            await store.record(of, made)
    for response_id in ever:
        expected = expected_chain(turns, response_id)
        try:
            found: list[Turn] | str = await store.chain(response_id, "key_1")
        except NotFound as error:
            found = error.message.split("'")[1]
        assert found == expected
    listed = await store.calls(key_id=None, limit=100, before=None)
    assert sorted(each["id"] for each in listed) == sorted(calls)
    await store.close()


@settings(max_examples=25, deadline=None)
@given(_STEPS, st.sampled_from([0, 2**20]))
def test_a_chain_is_the_walk_from_a_turn_to_its_root(steps: list[tuple[str, int]], recent: int) -> None:
    asyncio.run(check(steps, recent))
