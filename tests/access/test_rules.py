"""Which budgets and limits hold for a call."""

from __future__ import annotations

import pytest

from tollbook.access.key import Key
from tollbook.access.rules import Rules, Terms, subject_of
from tollbook.access.teams import Team
from tollbook.config.budgets import Limit

from .tallies import made


def key(**terms: object) -> Key:
    plain = {"id": "key_1", "alias": "ci", "owner": None, "team": "build", "models": (), "created": 0}
    return Key(**{**plain, **terms})  # type: ignore[arg-type]


def names(terms: Terms) -> set[str]:
    return {money.budget.name for money in terms.money}


EVERYTHING = [
    made(9, name="all"),
    made(9, scope="key", subject="key_1", name="ours"),
    made(9, scope="key", subject="key_2", name="theirs"),
    made(9, scope="team", subject="build", name="team"),
    made(9, scope="model", subject="gpt*", name="gpt"),
    made(9, scope="model", subject="*-mini", name="mini"),
    made(9, scope="end_user", subject="*", name="each"),
    made(9, scope="end_user", subject="vip-*", name="vip day"),
    made(99, "month", scope="end_user", subject="vip-*", name="vip month"),
    made(9, scope="end_user", subject="vip-ann", name="ann"),
]


@pytest.mark.parametrize(
    ("end_user", "model", "held"),
    [
        (None, "claude", {"all", "ours", "team"}),
        (None, "gpt-mini", {"all", "ours", "team", "gpt", "mini"}),
        ("bob", "claude", {"all", "ours", "team", "each"}),
        ("vip-bob", "claude", {"all", "ours", "team", "vip day", "vip month"}),
        ("vip-ann", "claude", {"all", "ours", "team", "ann"}),
    ],
)
def test_a_call_draws_on_all_that_fit_and_on_those_of_the_closest_end_user(
    end_user: str | None, model: str, held: set[str]
) -> None:
    rules = Rules([key()], budgets=EVERYTHING)

    assert names(rules.of("key_1", "build", end_user, model, model)) == held


def test_an_alias_of_a_model_is_the_model() -> None:
    rules = Rules(budgets=EVERYTHING)

    assert names(rules.of("", None, None, "cheap", "gpt-5")) == {"all", "gpt"}
    assert names(rules.of("", None, None, "gpt-cheap", "other")) == {"all", "gpt"}


def test_each_end_user_has_an_account_of_their_own() -> None:
    rules = Rules(budgets=EVERYTHING)
    accounts = [
        money.account
        for user in ("bob", "eve")
        for money in rules.of("", None, user, "claude", "claude").money
        if money.budget.name == "each"
    ]

    assert [subject_of(account) for account in accounts] == ["bob", "eve"]
    assert {rules.budget_of(account).name for account in accounts} == {"each"}  # type: ignore[union-attr]


def test_a_configured_budget_may_name_a_key_by_its_alias() -> None:
    rules = Rules([key()], budgets=[made(9, scope="key", subject="ci", name="by alias")])

    assert names(rules.of("key_1", None, None, "m", "m")) == {"by alias"}
    assert names(rules.of("key_2", None, None, "m", "m")) == set()


def test_limits_of_key_team_end_user_model_and_gateway_hold_together() -> None:
    limits = [
        Limit(scope="end_user", subject="*", rpm=3),
        Limit(scope="model", subject="gpt*", tpm=4),
        Limit(scope="global", subject="", rpm=5),
    ]
    team = Team(id="team_1", name="build", rpm=2, tpm=20, created=0)
    rules = Rules([key(rpm=1, max_parallel_requests=6)], [team], limits=limits)

    terms = rules.of("key_1", "build", "bob", "gpt-5", "gpt-5")

    assert [(rate.whose, rate.kind, rate.limit) for rate in terms.rates] == [
        ("the key 'ci'", "requests", 1),
        ("the team 'build'", "requests", 2),
        ("the team 'build'", "tokens", 20),
        ("the end user 'bob'", "requests", 3),
        ("the model 'gpt*'", "tokens", 4),
        ("this gateway", "requests", 5),
    ]
    assert [room.limit for room in terms.rooms] == [6]
    for rate in terms.rates:
        if rate.kind == "tokens":
            assert rules.limit_of(rate.account) == rate.limit


def test_end_users_whom_nobody_knows_do_not_fill_the_memory() -> None:
    rules = Rules(budgets=EVERYTHING)

    for number in range(25_000):
        rules.of("", None, f"user-{number}", "m", "m")

    assert len(rules._remembered) <= 10_000
