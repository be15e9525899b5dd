"""The gateway on which it is played: books, keys, budgets and prices as they are in earnest, with another clock."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tollbook.access.allowances import Allowances
from tollbook.access.caller import Caller
from tollbook.access.keys import Keys
from tollbook.access.owner import end_user, tags, task
from tollbook.books import Books
from tollbook.config import Config, config_from
from tollbook.errors import ConfigError, TollbookError
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook
from tollbook.responses import request as requests
from tollbook.storage import open_store
from tollbook.storage.allowances import AllowanceTable
from tollbook.storage.keys import KeyTable
from tollbook.transport.wire import encode
from tollbook.upstream import Upstream

from . import MARK
from .cast import BUDGETS, MODELS, PLAYERS, TAG, configuration
from .hands import Hands, PlayedClock
from .script import TOOL, Conversation, Turn, script, storm

ACTOR = "tollbook demo"
CONFIG = "config.yaml"
"""In the data directory: what the gateway is to be started with to go on."""

_AT_ONCE = 24
"""Conversations that are played beside each other: they share a sync of the disk."""

_LATENCY = {model.name: (model.first, model.gap) for model in MODELS}


@dataclass(slots=True)
class Played:
    """What came of it."""

    calls: int = 0
    cost: int = 0
    """In nano-USD."""


def directory_for(path: Path) -> None:
    """Make an empty data directory with the mark. Raises ConfigError where other books are."""
    if path.exists() and any(path.iterdir()) and not (path / MARK).exists():
        raise ConfigError(f"{path} has books that are no demo's: choose another --data-dir.")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    (path / MARK).write_text("Nothing in this folder is real. `tollbook demo --remove` removes it.\n")
    (path / CONFIG).write_text(encode(configuration()).decode())  # JSON is YAML


async def play(
    directory: Path,
    until: datetime,
    *,
    days: int,
    calls: int,
    seed: int = 7,
    told: Callable[[int], object] = bool,
) -> Played:
    """Play the month that ends at `until` (UTC) into an empty directory; `told` hears how many calls were made so far."""
    directory_for(directory)
    conversations = script(until, days=days, calls=calls, seed=seed)
    clock = PlayedClock(_nano(conversations[0].turns[0].at))
    played = Played()
    chance = random.Random(seed)  # noqa: S311 - it plays
    calm, down = (config_from(configuration(down=rages), os.environ) for rages in (False, True))
    weather = storm(until)
    async with _gateway(directory, calm, clock) as (gateway, keys, callers):
        await asyncio.to_thread(_budgets, keys)
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(conversation: Conversation) -> None:
            async with room:
                await _converse(gateway, clock, callers[conversation.player.alias], conversation, played, chance)
            told(played.calls)

        under_way: list[asyncio.Task[None]] = []
        raging = False
        for conversation in conversations:
            if weather.rages(conversation.turns[0].at) != raging:
                await asyncio.gather(*under_way)
                under_way, raging = [], not raging
                gateway.reload(down if raging else calm)
            under_way.append(asyncio.create_task(one(conversation)))
            if len(under_way) >= 4 * _AT_ONCE:
                await asyncio.gather(*under_way)
                under_way = []
        await asyncio.gather(*under_way)
    return played


async def _converse(
    gateway: Gateway,
    clock: PlayedClock,
    caller: Caller,
    conversation: Conversation,
    played: Played,
    chance: random.Random,
) -> None:
    previous: str | None = None
    for turn in conversation.turns:
        first, gap = _LATENCY.get(conversation.model, (0.3, 0.01))
        slow = chance.lognormvariate(0, 0.35)
        whole = 1 if turn.stream else 40  # an answer that is not streamed comes when all of it is made
        hands = Hands(_nano(turn.at), int(first * slow * whole**0.3 * 1e9), int(gap * slow * whole**0.5 * 1e9))
        with clock.of(hands):
            previous = await _ask(gateway, caller, conversation, turn, previous, played) or previous


async def _ask(
    gateway: Gateway, caller: Caller, conversation: Conversation, turn: Turn, previous: str | None, played: Played
) -> str | None:
    """One call, from its beginning to its booking; the id of its response if it has one."""
    body: dict[str, Any] = {
        "model": conversation.model,
        "input": turn.words,
        "stream": turn.stream,
        "metadata": {"task": conversation.task, "tags": TAG},
    }
    if conversation.end_user:
        body["user"] = conversation.end_user
    if conversation.insists:
        body["disable_fallbacks"] = True
    if previous:
        body["previous_response_id"] = previous
    if conversation.model.endswith("tools"):
        body["tools"] = [TOOL]
    call = gateway.books.begin("create")
    call.key_id, call.key_alias, call.team = caller.key_id, caller.alias, caller.team
    with suppress(TollbookError):  # it is booked, and that is what this is for
        request = requests.check(body)
        call.end_user, call.tags, call.task = end_user(request, {}), tags(request, {}), task(request)
        frames = gateway.stream(call, request, caller).frames
        async for _ in frames:
            if turn.leaves and turn.stream:
                await frames.aclose()
                break
    await gateway.books.settle()
    played.calls += 1
    played.cost += call.cost.total or 0
    output = call.response.get("output") or ()
    if any(item.get("type") == "function_call" for item in output):
        return None  # nobody answers its question here: the next turn begins anew
    return call.response_id if call.outcome == "completed" else None


@asynccontextmanager
async def _gateway(
    directory: Path, config: Config, clock: PlayedClock
) -> AsyncIterator[tuple[Gateway, Keys, dict[str, Caller]]]:
    table = KeyTable(directory)
    keys = Keys(table)
    counts = AllowanceTable(directory, clock=clock)
    try:
        callers = {}
        for player in PLAYERS:
            secret, _ = keys.create(player.alias, team=player.team, owner=player.owner, tags=(TAG,), actor=ACTOR)
            callers[player.alias] = keys.authenticate(secret)
        book = PriceBook()
        book.warm(config.deployments.values())
        await book.ready()
        allowances = Allowances(counts, keys)
        books = Books(open_store(directory), book, [allowances], make_id=clock.make_id, clock=clock)
        upstream = Upstream(clock=clock)
        gateway = Gateway(config, books=books, environment=os.environ, upstream=upstream, allowances=allowances)
        try:
            yield gateway, keys, callers
        finally:
            await gateway.close()
    finally:
        await asyncio.to_thread(counts.close)
        keys.close()
        table.close()


def _budgets(keys: Keys) -> None:
    for budget in BUDGETS:
        keys.budgets.create(actor=ACTOR, **budget)


def _nano(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
