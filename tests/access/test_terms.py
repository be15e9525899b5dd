"""What keys, teams and budgets may be told, and how it changes. Real SQLite files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tollbook.access import Keys, may_use
from tollbook.config import config_from
from tollbook.errors import Conflict, InvalidRequest, NotFound, Unauthenticated
from tollbook.storage.keys import KeyTable

from .conftest import MASTER_KEY, refused


class TestRotation:
    def test_both_secrets_are_good_until_the_grace_ends(self, table: KeyTable) -> None:
        now = 10**18
        keys = Keys(table, master_key=MASTER_KEY, clock=lambda: now)
        old, key = keys.create("ci")

        new, rotated, until = keys.rotate("ci", grace=3600)

        assert until == now + 3600 * 10**9
        assert (rotated.id, rotated.hint) == (key.id, new[-4:])
        assert keys.authenticate(old).key_id == keys.authenticate(new).key_id == key.id
        now = until
        assert keys.authenticate(new).key_id == key.id
        with pytest.raises(Unauthenticated) as refused:
            keys.authenticate(old)
        assert refused.value.code == "key_rotated"

    def test_without_grace_the_old_secret_ends_at_once(self, keys: Keys) -> None:
        old, _ = keys.create("ci")

        new, _, _ = keys.rotate("ci", grace=0)

        assert refused(keys, old)
        assert not refused(keys, new)

    def test_a_second_rotation_lengthens_no_grace(self, table: KeyTable) -> None:
        now = 10**18
        keys = Keys(table, master_key=MASTER_KEY, clock=lambda: now)
        first, _ = keys.create("ci")
        second, _, _ = keys.rotate("ci", grace=60)

        third, _, _ = keys.rotate("ci", grace=3600)

        assert [refused(keys, secret) for secret in (first, second, third)] == [False, False, False]
        now += 60 * 10**9
        assert [refused(keys, secret) for secret in (first, second, third)] == [True, False, False]

    def test_a_rotation_keeps_the_key_its_terms_and_its_books(self, keys: Keys, table: KeyTable) -> None:
        _, key = keys.create("ci", team="build", models=["gpt*"], rpm=5)

        secret, rotated, _ = keys.rotate("ci", actor="cli:ann")

        assert rotated == replace(key, hint=secret[-4:])
        assert table.audit()[0]["action"] == "rotate"
        assert secret not in str(table.audit())

    def test_the_secrets_of_a_revoked_key_are_all_gone(self, keys: Keys) -> None:
        old, _ = keys.create("ci")
        new, _, _ = keys.rotate("ci")

        keys.revoke("ci")

        assert refused(keys, old)
        assert refused(keys, new)
        with pytest.raises(NotFound):
            keys.rotate("ci")

    @pytest.mark.parametrize("grace", [-1, float("nan"), 10**9])
    def test_a_grace_that_cannot_be_is_named(self, keys: Keys, grace: float) -> None:
        secret, _ = keys.create("ci")

        with pytest.raises(InvalidRequest) as wrong:
            keys.rotate("ci", grace=grace)

        assert wrong.value.param == "grace"
        assert not refused(keys, secret)


class TestChanging:
    def test_what_is_not_said_stays(self, keys: Keys) -> None:
        _, key = keys.create("ci", team="build", models=["gpt*"], rpm=5, tags=["a"])

        changed = keys.change("ci", rpm=None, owner="ann", alias="cd")

        assert changed == replace(key, rpm=None, owner="ann", alias="cd")
        assert keys.find("cd") == changed

    def test_an_alias_in_use_is_no_new_alias(self, keys: Keys) -> None:
        keys.create("ci")
        keys.create("cd")

        with pytest.raises(Conflict):
            keys.change("cd", alias="ci")
        assert keys.change("cd", alias="cd").alias == "cd"

    def test_the_audit_says_what_was_and_what_is(self, keys: Keys, table: KeyTable) -> None:
        keys.create("ci", rpm=5)

        keys.change("ci", rpm=7, tpm=None, models=["a"], actor="cli:ann")

        assert table.audit()[0]["details"] == {"rpm": [5, 7], "models": [[], ["a"]]}
        assert len(table.audit()) == 2
        keys.change("ci", rpm=7)
        assert len(table.audit()) == 2, "nothing was changed"


class TestTeams:
    def test_a_key_of_a_blocked_team_is_refused(self, keys: Keys) -> None:
        secret, _ = keys.create("ci", team="build")

        keys.teams.block("build", actor="cli")
        with pytest.raises(Unauthenticated) as blocked:
            keys.authenticate(secret)
        keys.teams.block("build", False, actor="cli")

        assert blocked.value.code == "team_blocked"
        assert keys.authenticate(secret).team == "build"

    def test_a_model_must_fit_the_key_and_its_team(self, keys: Keys) -> None:
        keys.teams.add("build", models=["gpt*", "claude*"], tags=["t"], actor="cli")
        secret, _ = keys.create("ci", team="build", models=["*-mini"], tags=["k"])

        caller = keys.authenticate(secret)

        assert [may_use(caller, model) for model in ("gpt-mini", "gpt", "other-mini")] == [True, False, False]
        assert caller.tags == ("k", "t")

    def test_a_name_that_is_new_makes_a_team(self, keys: Keys) -> None:
        keys.create("one", team="build")
        keys.create("two", team="build")

        assert [team.name for team in keys.teams.list()] == ["build"]

    def test_a_team_with_keys_cannot_be_removed(self, keys: Keys) -> None:
        keys.create("ci", team="build")

        with pytest.raises(Conflict) as kept:
            keys.teams.remove("build", actor="cli")
        keys.revoke("ci")
        removed = keys.teams.remove("build", actor="cli")

        assert kept.value.code == "team_has_keys"
        assert removed.name == "build"
        assert keys.teams.list() == []
        with pytest.raises(NotFound):
            keys.teams.find("build")

    def test_a_team_in_use_is_no_new_team(self, keys: Keys) -> None:
        keys.create_team("build")

        with pytest.raises(Conflict) as taken:
            keys.create_team("build")
        assert taken.value.code == "team_taken"


class TestBudgets:
    def test_a_key_is_made_with_its_budgets(self, keys: Keys) -> None:
        _, key = keys.create("ci", budgets=[{"amount": "5", "span": "day"}, {"amount": 20, "span": "30d", "soft": 0.5}])

        assert [(each.name, each.scope, each.subject, each.amount) for each in keys.budgets.list()] == [
            ("key:ci:day", "key", key.id, 5 * 10**9),
            ("key:ci:30d", "key", key.id, 20 * 10**9),
        ]

    def test_the_budgets_of_a_key_end_with_it(self, keys: Keys) -> None:
        keys.create("ci", budgets=[{"amount": 5, "span": "day"}])
        keys.create_team("build", budgets=[{"amount": 5, "span": "day"}])

        keys.revoke("ci")
        keys.teams.remove("build", actor="cli")

        assert keys.budgets.list() == []

    def test_a_budget_is_changed_and_removed(self, keys: Keys, table: KeyTable) -> None:
        made = keys.budgets.create(scope="model", subject="gpt*", amount=5, span="day", zone="Asia/Tokyo", actor="cli")

        changed = keys.budgets.change(made.name, {"amount": "7.5", "soft": 0.5}, actor="cli:ann")

        assert (changed.id, changed.amount, changed.soft) == (made.id, 7_500_000_000, 0.5)
        assert changed.window.zone == "Asia/Tokyo"
        assert keys.budgets.change(made.id, {"span": "24h"}, actor="cli").window.text == "24h"
        assert keys.budgets.remove(made.id, actor="cli").id == made.id
        assert [row["action"] for row in table.audit()] == ["remove", "change", "change", "create"]
        with pytest.raises(NotFound):
            keys.budgets.find(made.id)

    @pytest.mark.parametrize(
        ("param", "said"),
        [
            ("amount_usd", {"amount": -1}),
            ("amount_usd", {"amount": float("nan")}),
            ("amount_usd", {"amount": "much"}),
            ("amount_usd", {"amount": "1e30"}),
            ("amount_usd", {"amount": "0.0000000001"}),
            ("window", {"span": "0h"}),
            ("window", {"span": "soon"}),
            ("zone", {"zone": "Mars/Olympus"}),
            ("zone", {"span": "24h", "zone": "Europe/Berlin"}),
            ("soft", {"soft": 0}),
            ("soft", {"soft": 7}),
            ("soft", {"soft": float("nan")}),
            ("name", {"name": "\n"}),
            ("model", {"scope": "model", "subject": ""}),
            ("scope", {"scope": "planet", "subject": "x"}),
        ],
    )
    def test_a_budget_that_cannot_be_is_named(self, keys: Keys, param: str, said: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest) as wrong:
            keys.budgets.create(**{"scope": "global", "amount": 5, "span": "day", "actor": "cli", **said})

        assert wrong.value.param == param
        assert keys.budgets.list() == []

    @pytest.mark.parametrize("said", [{"scope": "key", "subject": "key_x"}, {"scope": "team", "subject": "nobody"}])
    def test_a_budget_for_nobody_is_refused(self, keys: Keys, said: dict[str, Any]) -> None:
        with pytest.raises(NotFound):
            keys.budgets.create(amount=5, span="day", actor="cli", **said)

    def test_a_budget_of_the_configuration_is_changed_there_only(self, keys: Keys) -> None:
        configured = config_from({"budgets": [{"name": "all", "amount": 5, "window": "day"}]}, {}).budgets
        keys.configure(configured, ())

        assert keys.budgets.list() == list(configured)
        for change in (
            lambda: keys.budgets.change("all", {"amount": 6}, actor="cli"),
            lambda: keys.budgets.remove("config:all", actor="cli"),
            lambda: keys.budgets.create(scope="global", amount=5, span="day", name="all", actor="cli"),
        ):
            with pytest.raises(Conflict) as refused:
                change()
            assert refused.value.code == "budget_is_configured"
