"""What every `Store` promises. `Stores` makes them; each function here is a rule."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace

import pytest

from tollbook.call import FREE, Attempt
from tollbook.errors import InvalidRequest, NotFound, UpstreamError
from tollbook.responses.ids import make_id
from tollbook.responses.usage import Usage
from tollbook.storage import Store, Turn

from .making import call, turn


async def recorded(store: Store, parent: Turn | None = None, **changes: object) -> Turn:
    """A turn that has been recorded."""
    of = call(key_id=changes.pop("key_id", "key_1"))
    made = turn(of, parent, **changes)
    await store.record(of, made)
    return made


async def a_turn_comes_back_as_it_was_at_once_and_later(store: Store) -> None:
    made = await recorded(store)

    assert await store.turn(made.response_id, "key_1") == made
    await store.calls(key_id=None, limit=1, before=None)  # now it is in the tables
    assert await store.turn(made.response_id, "key_1") == made
    assert await store.turn(made.response_id, None) == made


async def absent_deleted_and_foreign_are_told_alike(store: Store) -> None:
    foreign, deleted = await recorded(store, key_id="key_2"), await recorded(store)
    await store.delete(deleted.response_id, "key_1")

    for identifier in ("resp_absent", make_id("resp"), foreign.response_id, deleted.response_id, "\ud800", "\0", ""):
        for ask in (store.turn, store.delete):
            with pytest.raises(NotFound) as told:
                await ask(identifier, "key_1")
            shown = identifier.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            assert told.value.to_wire() == {
                "message": f"No response found with id '{shown}'.",
                "type": "invalid_request_error",
                "param": "response_id",
                "code": "not_found",
            }
    assert await store.turn(foreign.response_id, "key_2") == foreign


async def deleting_takes_the_content_and_leaves_the_money(store: Store) -> None:
    of = call()
    made = turn(of)
    await store.record(of, made)

    assert await store.delete(made.response_id, "key_1") == made
    with pytest.raises(NotFound):
        await store.delete(made.response_id, None)
    with pytest.raises(NotFound):
        await store.turn(made.response_id, None)
    assert (await store.call(of.id, "key_1"))["cost"]["nano_usd"] == 450_000


async def a_deleted_response_does_not_come_back(store: Store) -> None:
    """A background response may complete after it was deleted."""
    made = await recorded(store, status="in_progress")
    await store.delete(made.response_id, "key_1")
    await store.record(call(), replace(made, status="completed"))

    for _ in range(2):
        with pytest.raises(NotFound):
            await store.turn(made.response_id, "key_1")
        await store.calls(key_id=None, limit=1, before=None)


async def a_response_recorded_again_supersedes_its_turn(store: Store) -> None:
    """As when a background response ends, which is a call of its own."""
    of = call(response_id="resp_background", attempts=[])
    first = turn(of, response_id="resp_background", status="in_progress")
    for drained in (False, True):
        await store.record(of, first)
        if drained:
            await store.calls(key_id=None, limit=1, before=None)
        done = replace(first, status="completed", response={**first.response, "status": "completed"})
        await store.record(call(), done)

        assert await store.turn("resp_background", "key_1") == done
        assert await store.chain("resp_background", "key_1") == [done]


async def a_call_recorded_again_changes_nothing(store: Store) -> None:
    """What is in the ledger stays: a poll, a recorder that tries again, a journal read twice add nothing."""
    of = call()
    for _ in range(2):
        await store.record(of, None)
        await store.record(replace(of, outcome="failed", attempts=[]), None)

        told = await store.call(of.id, "key_1")
        assert (told["outcome"], told["cost"]["nano_usd"], len(told["attempts"])) == ("completed", 450_000, 2)
        same = [each for each in await store.calls(key_id=None, limit=1000, before=None) if each["id"] == of.id]
        assert same == [told]


async def a_chain_is_told_oldest_first_and_branches_never_see_each_other(store: Store) -> None:
    root = await recorded(store)
    left, right = await recorded(store, root), await recorded(store, root)
    left_leaf = await recorded(store, left)
    right_leaf = await recorded(store, right)

    for _ in range(2):
        assert await store.chain(left_leaf.response_id, "key_1") == [root, left, left_leaf]
        assert await store.chain(right_leaf.response_id, None) == [root, right, right_leaf]
        assert await store.chain(root.response_id, "key_1") == [root]
        await store.calls(key_id=None, limit=1, before=None)


async def a_chain_may_be_half_in_the_journal(store: Store) -> None:
    root = await recorded(store)
    middle = await recorded(store, root)
    await store.calls(key_id=None, limit=1, before=None)
    leaf = await recorded(store, middle)

    assert await store.chain(leaf.response_id, "key_1") == [root, middle, leaf]


async def a_chain_with_a_hole_is_an_error_that_names_it(store: Store) -> None:
    root = await recorded(store)
    middle = await recorded(store, root)
    leaf = await recorded(store, middle)
    await store.delete(root.response_id, "key_1")
    orphan = await recorded(store, replace(root, response_id="resp_never"))
    foreign = await recorded(store, await recorded(store, key_id="key_2"))

    for ask, named in (
        (leaf.response_id, root.response_id),
        (orphan.response_id, "resp_never"),
        ("resp_no", "resp_no"),
        (foreign.response_id, foreign.previous_response_id),
    ):
        with pytest.raises(NotFound, match=f"'{named}'") as told:
            await store.chain(ask, "key_1")
        assert (told.value.code, told.value.param) == ("previous_response_not_found", "previous_response_id")


async def a_thousand_turns_are_one_chain(store: Store) -> None:
    turns: list[Turn] = []
    for _ in range(1000):
        of = call(attempts=[])
        turns.append(turn(of, turns[-1] if turns else None))
    await asyncio.gather(*(store.record(call(attempts=[]), each) for each in turns))

    assert await store.chain(turns[-1].response_id, "key_1") == turns
    await store.calls(key_id=None, limit=1, before=None)
    assert await store.chain(turns[-1].response_id, "key_1") == turns


async def content_survives_whatever_json_can_say(store: Store) -> None:
    odd = {
        "surrogate": "a\ud800b",
        "nul": "a\0b",
        "pair": "\ud83d\ude00",
        "large": 10**30,
        "infinite": float("inf"),
        "empty": {"": [None, True, [], {}]},
        "unicode": "Žižek \U0001f600",
    }
    for content in (odd, {name: value for name, value in odd.items() if name not in ("surrogate", "pair", "large")}):
        made = await recorded(store, input=[content], response={"output": [content]}, request={"metadata": content})
        # JSON knows no difference between a pair of escapes and the character: both are one character when read
        expected = json.loads(json.dumps(content))

        found = await store.turn(made.response_id, "key_1")

        assert (found.input, found.response, found.request) == (
            [expected],
            {"output": [expected]},
            {"metadata": expected},
        )


async def facts_survive_what_no_column_can_hold(store: Store) -> None:
    of = call(
        end_user="a\ud800\0b",
        model="\udfff" * 3,
        tags=("\ud800",),
        max_output_tokens=10**40,
        temperature="hot",
        top_p=float("nan"),
        events=2**64 - 1,
        started=-5,
        error=UpstreamError("no\ud800", "server"),
        team={"not": "a text"},
    )
    of.attempts[1].usage = Usage(input=10**300, tools={"\ud800": 10**30})
    await store.record(of, None)
    await store.record(call(), None)

    for _ in range(2):
        told = await store.call(of.id, None)
        assert told["end_user"] == "a\ufffd\0b"
        assert (told["max_output_tokens"], told["temperature"], told["events"]) == (2**63 - 1, None, 2**63 - 1)
        assert told["usage"]["input"] == 2**63 - 1
        assert told["error"] == {
            "type": "server_error",
            "code": "server_error",
            "param": None,
            "message": "no\ufffd",
            "kind": "server",
        }
        json.dumps(told)
        await store.calls(key_id=None, limit=1, before=None)


async def a_call_is_told_with_attempts_and_cost_lines(store: Store) -> None:
    of = call(started=1_795_378_836_704_132_973, ended=1_795_378_838_000_000_000, parent_span=("aa", "bb"))
    of.error = InvalidRequest("no", param="input")
    await store.record(of, None)

    for _ in range(2):
        told = await store.call(of.id, "key_1")
        assert told["started"] == "2026-11-22T20:20:36.704132Z"
        assert (told["tags"], told["notes"], told["parent_span"]) == (
            ["blue", "green"],
            ["top_k: dropped"],
            ["aa", "bb"],
        )
        assert told["error"]["param"] == "input"
        assert (told["usage"]["input"], told["usage"]["output"], told["usage"]["tools"]) == (100, 20, {"web_search": 1})
        assert told["cost"] == {
            "status": "priced",
            "nano_usd": 450_000,
            "usd": "0.00045",
            "price_version": "2026-11",
            "price_source": "catalogue",
            "threshold_tokens": None,
            "margin_nano_usd": 0,
            "input_rate_pico": None,
        }
        first, second = told["attempts"]
        assert (first["error_kind"], first["cost"]["nano_usd"], first["cost"]["lines"]) == ("overloaded", None, [])
        assert second["cost"]["lines"] == [
            {"kind": "input", "quantity": 100, "rate_pico": 2_500_000, "amount_nano": 250_000},
            {"kind": "output", "quantity": 20, "rate_pico": None, "amount_nano": 200_000},
        ]
        with pytest.raises(NotFound):
            await store.call(of.id, "key_2")
        await store.calls(key_id=None, limit=1, before=None)


async def a_free_call_and_a_rejected_one_have_rows(store: Store) -> None:
    free = call(attempts=[Attempt(1, "d", "simulated", "m", "initial", 1, cost=FREE)])
    rejected = call(attempts=[], outcome="rejected", status=400)
    await store.record(free, None)
    await store.record(rejected, None)

    assert (await store.call(free.id, None))["attempts"][0]["cost"]["status"] == "free"
    told = await store.call(rejected.id, None)
    assert (told["attempts"], told["status"], told["outcome"]) == ([], 400, "rejected")


async def calls_are_listed_newest_first_in_pages_of_their_owner(store: Store) -> None:
    mine = [call(key_id="key_pages", started=10**18 + n) for n in (1, 2, 2, 3, 4_000)]
    for each in [*mine, call(key_id="key_other")]:
        await store.record(each, None)
    listed: list[str] = []
    before = None
    while page := await store.calls(key_id="key_pages", limit=2, before=before):
        listed += [each["id"] for each in page]
        before = listed[-1]

    assert sorted(listed) == sorted(each.id for each in mine)
    assert listed[0] == mine[-1].id
    with pytest.raises(NotFound):
        await store.calls(key_id="key_other", limit=2, before=mine[0].id)


async def several_loops_may_record_at_once(store: Store) -> None:
    made: list[Turn] = []

    def run() -> None:
        async def record() -> None:
            made.extend(await asyncio.gather(*(recorded(store) for _ in range(20))))

        asyncio.run(record())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(lambda: [thread.join() for thread in threads])

    assert len(made) == 80
    for each in made:
        assert await store.turn(each.response_id, "key_1") == each


async def a_cancelled_record_harms_nobody(store: Store) -> None:
    task = asyncio.ensure_future(recorded(store))
    await asyncio.sleep(0)
    task.cancel()
    made = await recorded(store)

    assert await store.turn(made.response_id, "key_1") == made
    assert task.cancelled()


async def a_follow_up_right_after_finds_its_parent_each_time(store: Store) -> None:
    last: Turn | None = None
    for _ in range(200):
        last = await recorded(store, last)
        assert (await store.turn(last.response_id, "key_1")).number == last.number


RULES = [
    rule
    for name, rule in list(globals().items())
    if asyncio.iscoroutinefunction(rule) and rule.__module__ == __name__ and name != "recorded"
]
