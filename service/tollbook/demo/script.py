"""Who says what when: conversations of a month, all from one seed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from .cast import PLAYERS, RUNAWAY, RUNAWAY_MODEL, Player

_ABOUT = (
    "the invoice for the third quarter and why its total differs from the order",
    "how to connect a second printer in the branch office",
    "a customer who received the blue model although the green one was promised",
    "the difference between the two pension plans, in plain words",
    "an error in the nightly import that says the column is unknown",
    "a short notice about the new opening hours for the front page",
    "whether a return is possible after thirty days when the box was opened",
    "the minutes of the planning meeting, with who does what until when",
    "a function that merges overlapping ranges, with tests",
    "the three cheapest ways to ship ten kilograms to the coast",
)
_ASKS = (
    "Summarise",
    "Explain",
    "Write an answer about",
    "Check",
    "Improve",
    "List what is open in",
    "Translate into German",
)
_MORE = (
    "Thank you. Now the same for a customer who has no account.",
    "Shorter, please, and without the second point.",
    "And what if that does not work?",
    "Why is that so? Give the reason in one sentence.",
    "Please put it into a table.",
)
_DETAIL = (
    "Here is what we have so far: the case was opened on Monday, the first answer was friendly but did not help, and since "
    "then nobody has looked at it again. The customer has been with us for six years and asks for a clear word."
)
_DETAILS = _DETAIL.split()

_MISSPELT = "gpt-5-mimi"

TOOL = {
    "type": "function",
    "name": "look_up",
    "description": "Looks something up in the archive.",
    "parameters": {"type": "object", "properties": {"words": {"type": "string"}}, "required": ["words"]},
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a conversation."""

    at: datetime
    words: str
    stream: bool
    leaves: bool = False
    """Whether the client hangs up in the middle of the answer."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one end user and one model say to each other, in order of time."""

    player: Player
    model: str
    end_user: str | None
    task: str
    turns: tuple[Turn, ...]
    insists: bool
    """Whether it wants no other model than its own."""
    worked: bool | None
    """Whether it served its purpose, as the application said afterwards; None where it said nothing."""


@dataclass(frozen=True, slots=True)
class Storm:
    """When the provider is down."""

    start: datetime
    end: datetime

    def rages(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def storm(until: datetime) -> Storm:
    """On a working day some ten days before the end, until the next afternoon."""
    start = (until - timedelta(days=9)).replace(hour=9, minute=0, second=0, microsecond=0)
    while start.weekday() > 3:
        start -= timedelta(days=1)
    return Storm(start, start + timedelta(hours=30))


def script(until: datetime, *, days: int, calls: int, seed: int = 7) -> list[Conversation]:
    """About so many calls on the days before `until` (UTC), by the beginning of their conversations."""
    chance = random.Random(seed)  # noqa: S311 - it plays, it guards nothing
    start = until - timedelta(days=days)
    told: list[Conversation] = []
    runaway_day = (until - timedelta(days=4)).date()
    for player in PLAYERS:
        hours = {hour: _busy(hour, player) for hour in _hours(start, until)}
        conversations = calls * player.share / (sum(player.turns) / 2)
        for hour, busy in hours.items():
            for _ in range(_poisson(chance, conversations * busy / sum(hours.values()))):
                at = hour + timedelta(seconds=chance.uniform(0, 3600))
                if at < until:
                    told.append(_conversation(chance, player, at, until))
    # An agent that does not stop: the same question, again and again, on the dearest model, for one user.
    key, user = RUNAWAY
    player = next(each for each in PLAYERS if each.alias == key)
    begin = datetime.combine(runaway_day, datetime.min.time(), until.tzinfo) + timedelta(hours=13)
    for number in range(max(6, calls // 70)):
        at = begin + timedelta(seconds=number * 3.5 * 3600 / max(6, calls // 70))
        if start <= at < until:
            told.append(_conversation(chance, player, at, until, model=RUNAWAY_MODEL, user=user, long=True))
    return sorted(told, key=lambda each: each.turns[0].at)


def _conversation(
    chance: random.Random,
    player: Player,
    at: datetime,
    until: datetime,
    *,
    model: str | None = None,
    user: str | None = None,
    long: bool = False,
) -> Conversation:
    names, weights = zip(*player.models, strict=True)
    task = chance.choice(player.tasks)
    if user is None and player.users:
        # Few users make most of it, as they do.
        number = min(int(chance.paretovariate(1.1)), player.users)
        user = f"{player.team}-{number:02d}" if player.users > 1 else player.owner
    turns = []
    count = player.turns[1] if long else chance.randint(*player.turns)
    for number in range(count):
        words = f"{chance.choice(_ASKS)} {chance.choice(_ABOUT)}." if not number else chance.choice(_MORE)
        detail = int(chance.lognormvariate(3.2, 0.7)) * (3 if long else 1)
        words += " " + " ".join(_DETAILS[word % len(_DETAILS)] for word in range(detail if not number else detail // 4))
        turns.append(Turn(at, words.strip(), chance.random() < 0.6, chance.random() < 0.015))
        at += timedelta(seconds=chance.uniform(20, 240))
        if at >= until:
            break
    worked = None if chance.random() < 0.6 else chance.random() < 0.86
    chosen = model or (_MISSPELT if chance.random() < 0.006 else chance.choices(names, weights)[0])
    return Conversation(player, chosen, user, task, tuple(turns), chance.random() < 0.1, worked)


def _hours(start: datetime, until: datetime) -> Iterator[datetime]:
    hour = start.replace(minute=0, second=0, microsecond=0)
    while hour < until:
        yield hour
        hour += timedelta(hours=1)


def _busy(hour: datetime, player: Player) -> float:
    """How busy an hour is beside the busiest: two humps on working days, a little growth over the month."""
    humps = math.exp(-((hour.hour - 10.5) ** 2) / 6) + 0.9 * math.exp(-((hour.hour - 15) ** 2) / 7)
    works = humps if hour.weekday() < 5 else humps * 0.25
    return max(works, player.nights * 0.5) * (1 + hour.day / 100)


def _poisson(chance: random.Random, mean: float) -> int:
    """Knuth's way, good for the small means here."""
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count
