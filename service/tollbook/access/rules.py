"""Which budgets and limits hold for a call: an index that is made anew when one of them changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeVar

from tollbook.config.budgets import Budget, Limit

from .key import Key
from .patterns import closest, fits
from .teams import Team

T = TypeVar("T")

_OF = "\x1f"
"""Between a budget's id and the end user whose share of it is meant; it is in no name, for names are printable."""

_REMEMBERED = 10_000
"""Callers, end users and models whose terms are remembered: clients name end users as they like."""

TOKENS, ROOM = "tpm:", "room:"


class Money(NamedTuple):
    """A budget that a call draws on. `account` is where its money is counted."""

    account: str
    budget: Budget


class Rate(NamedTuple):
    """So many `kind` a minute for `whose`: "the key 'ci'"."""

    account: str
    kind: Literal["requests", "tokens"]
    limit: int
    whose: str


class Room(NamedTuple):
    """So many calls at the same time."""

    account: str
    limit: int
    whose: str


class Terms(NamedTuple):
    """Everything that holds for a call."""

    money: tuple[Money, ...] = ()
    rates: tuple[Rate, ...] = ()
    rooms: tuple[Room, ...] = ()


NO_TERMS = Terms()


class Rules:
    """What holds for whom. `of` answers from memory; a call for which nothing holds costs one look into a dictionary."""

    def __init__(
        self,
        keys: Iterable[Key] = (),
        teams: Iterable[Team] = (),
        budgets: Iterable[Budget] = (),
        limits: Iterable[Limit] = (),
    ) -> None:
        self.budgets: dict[str, Budget] = {}
        self._remembered: dict[tuple[str, str | None, str | None, str, str], Terms] = {}
        self.keys = {key.id: key for key in keys}
        self.teams = {team.name: team for team in teams}
        ids = {key.alias: key.id for key in self.keys.values()}
        self._money: dict[str, dict[str, list[Budget]]] = defaultdict(lambda: defaultdict(list))
        """scope -> subject -> budgets"""
        self._limits: dict[str, dict[str, list[Limit]]] = defaultdict(lambda: defaultdict(list))
        for budget in budgets:
            subject = budget.subject
            if budget.scope == "key" and subject not in self.keys:
                subject = ids.get(subject, subject)
            self.budgets[budget.id] = budget
            self._money[budget.scope][subject].append(budget)
        for limit in limits:
            self._limits[limit.scope][limit.subject].append(limit)

    def of(self, key_id: str, team: str | None, end_user: str | None, model: str, really: str) -> Terms:
        """What holds for a call with this key, of this team, for this end user, to this model. `really` is the model's name
        where `model` is an alias of it."""
        wanted = (key_id, team, end_user, model, really)
        terms = self._remembered.get(wanted)
        if terms is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            terms = self._remembered[wanted] = self._find(*wanted)
        return terms

    def budget_of(self, account: str) -> Budget | None:
        """The budget whose money an account counts; None when it is there no more."""
        return self.budgets.get(account.partition(_OF)[0])

    def limit_of(self, account: str) -> int | None:
        """Tokens a minute that an account of them counts; None when that limit is there no more."""
        scope, _, subject = account.removeprefix(TOKENS).partition(":")
        subject = subject.partition(_OF)[0]
        if scope == "key" and subject in self.keys:
            return self.keys[subject].tpm
        if scope == "team" and subject in self.teams:
            return self.teams[subject].tpm
        return next((limit.tpm for limit in self._limits[scope].get(subject, ()) if limit.tpm is not None), None)

    def _find(self, key_id: str, team: str | None, end_user: str | None, model: str, really: str) -> Terms:
        money = [*self._money["global"][""], *self._money["key"].get(key_id, ())]
        if team is not None:
            money += self._money["team"].get(team, ())
        models = {model, really}
        money += _fitting(self._money["model"], models)
        found = [Money(budget.id, budget) for budget in money]
        if end_user is not None:
            # The default is for those of whom nothing is said: the closest pattern counts, and all of its budgets.
            own = closest(self._money["end_user"], end_user)
            found += [
                Money(f"{budget.id}{_OF}{end_user}", budget) for budget in self._money["end_user"].get(own or "", ())
            ]
        return Terms(tuple(found), tuple(self._rates(key_id, team, end_user, models)), self._rooms(key_id))

    def _rates(self, key_id: str, team: str | None, end_user: str | None, models: set[str]) -> Iterable[Rate]:
        key, of_team = self.keys.get(key_id), self.teams.get(team or "")
        if key is not None:
            yield from _both(f"key:{key.id}", key, f"the key {key.alias!r}")
        if of_team is not None:
            yield from _both(f"team:{of_team.name}", of_team, f"the team {of_team.name!r}")
        if end_user is not None:
            own = closest(self._limits["end_user"], end_user)
            for limit in self._limits["end_user"].get(own or "", ()):
                yield from _both(f"end_user:{own}{_OF}{end_user}", limit, f"the end user {end_user!r}")
        for limit in _fitting(self._limits["model"], models):
            yield from _both(f"model:{limit.subject}", limit, f"the model {limit.subject!r}")
        for limit in self._limits["global"][""]:
            yield from _both("global", limit, "this gateway")

    def _rooms(self, key_id: str) -> tuple[Room, ...]:
        key = self.keys.get(key_id)
        if key is None or key.max_parallel_requests is None:
            return ()
        return (Room(f"{ROOM}{key.id}", key.max_parallel_requests, f"the key {key.alias!r}"),)


def subject_of(account: str) -> str:
    """The end user whose share of a budget an account counts; "" for one that all share."""
    return account.partition(_OF)[2]


def accounts_of(budget: Budget) -> tuple[str, str]:
    """Where a budget's money is counted: its own account, and what the accounts of its end users begin with."""
    return budget.id, f"{budget.id}{_OF}"


def _fitting(by_pattern: Mapping[str, list[T]], names: set[str]) -> list[T]:
    return [
        each
        for pattern, all_of_it in by_pattern.items()
        if any(fits((pattern,), name) for name in names)
        for each in all_of_it
    ]


def _both(whose: str, limits: Key | Team | Limit, told: str) -> Iterable[Rate]:
    if limits.rpm is not None:
        yield Rate(f"rpm:{whose}", "requests", limits.rpm, told)
    if limits.tpm is not None:
        yield Rate(f"{TOKENS}{whose}", "tokens", limits.tpm, told)
