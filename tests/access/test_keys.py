"""Keys: who is let in, and how soon a change counts. Real SQLite files, real processes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tollbook.access import Caller, Keys, allow_model, may_use, presented
from tollbook.errors import ConfigError, Conflict, Forbidden, InvalidRequest, NotFound, Unauthenticated, Unavailable
from tollbook.storage.keys import FILE, KeyTable

from .conftest import MASTER_KEY, refused


def eventually(happens: Callable[[], bool]) -> bool:
    """Whether it happens within five seconds: a second is promised, and a busy machine is given more."""
    end = time.monotonic() + 5
    while not happens():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def elsewhere(directory: Path, statement: str) -> None:
    """Run a statement on the keys of `directory` in a process of its own, as the CLI does."""
    program = (
        "import sys; from pathlib import Path\n"
        "from tollbook.access import Keys; from tollbook.storage.keys import KeyTable\n"
        f"table = KeyTable(Path(sys.argv[1])); keys = Keys(table)\n{statement}\nkeys.close(); table.close()"
    )
    subprocess.run([sys.executable, "-c", program, str(directory)], check=True, timeout=60)


class TestWhoIsLetIn:
    def test_the_master_key_is_an_admin_who_sees_everybodys(self, keys: Keys) -> None:
        caller = keys.authenticate(MASTER_KEY)

        assert caller == Caller("master", alias="master", admin=True)
        assert caller.scope is None

    def test_a_key_is_its_own_owner(self, keys: Keys) -> None:
        secret, key = keys.create("ci", team="build", owner="ann", models=["gpt-*"])

        caller = keys.authenticate(secret)

        assert caller == Caller(key.id, "ci", "build", admin=False, models=("gpt-*",))
        assert caller.scope == key.id

    @pytest.mark.parametrize("secret", [None, "", "sk-wrong", "sk-tb-" + "x" * 43, "x" * 1_000_000, "\ud800", "ключ"])
    def test_without_a_right_secret_it_is_401_and_the_secret_is_not_repeated(
        self, keys: Keys, secret: str | None
    ) -> None:
        with pytest.raises(Unauthenticated) as refused:
            keys.authenticate(secret)

        assert refused.value.status == 401
        assert refused.value.code == "invalid_api_key"
        assert not secret or secret not in refused.value.message

    def test_every_bit_of_a_secret_counts(self, keys: Keys) -> None:
        secret, _ = keys.create("ci")

        for near in (secret[:-1], secret + "x", secret.swapcase(), secret[:-1] + chr(ord(secret[-1]) ^ 1)):
            with pytest.raises(Unauthenticated):
                keys.authenticate(near)

    def test_an_expired_key_is_refused_from_its_very_moment(self, table: KeyTable) -> None:
        now = 1_000
        keys = Keys(table, master_key=MASTER_KEY, clock=lambda: now)
        secret, _ = keys.create("soon", expires=2_000)
        now = 1_999
        assert keys.authenticate(secret).alias == "soon"

        now = 2_000

        with pytest.raises(Unauthenticated) as refused:
            keys.authenticate(secret)
        assert refused.value.code == "key_expired"

    def test_a_blocked_key_is_refused_until_it_is_unblocked(self, keys: Keys) -> None:
        secret, key = keys.create("ci")

        keys.block("ci")
        with pytest.raises(Unauthenticated) as refused:
            keys.authenticate(secret)
        keys.block(key.id, False)

        assert refused.value.code == "key_blocked"
        assert keys.authenticate(secret).key_id == key.id

    def test_a_revoked_key_is_refused_as_if_it_had_never_been(self, keys: Keys) -> None:
        secret, key = keys.create("ci")

        assert keys.revoke("ci") == key.id

        with pytest.raises(Unauthenticated) as refused:
            keys.authenticate(secret)
        assert refused.value.code == "invalid_api_key"
        assert keys.list() == []
        assert [(k.id, k.revoked is not None) for k in keys.list(revoked=True)] == [(key.id, True)]


class TestWithoutAMasterKey:
    @pytest.mark.parametrize("secret", [None, "", "anything"])
    def test_everybody_is_the_local_caller(self, table: KeyTable, secret: str | None) -> None:
        keys = Keys(table)

        caller = keys.authenticate(secret)

        assert keys.open
        assert (caller.key_id, caller.admin, caller.scope) == ("", True, None)

    def test_a_virtual_key_still_names_its_caller(self, table: KeyTable) -> None:
        keys = Keys(table)
        secret, key = keys.create("ci")

        assert keys.authenticate(secret).key_id == key.id

    def test_a_secret_that_looks_like_ours_and_is_not_is_refused(self, table: KeyTable) -> None:
        keys = Keys(table)
        secret, _ = keys.create("ci")
        keys.revoke("ci")

        with pytest.raises(Unauthenticated):
            keys.authenticate(secret)


class TestMakingKeys:
    def test_a_secret_is_long_random_and_shown_once(self, tmp_path: Path) -> None:
        table = KeyTable(tmp_path)
        keys = Keys(table, master_key=MASTER_KEY)

        secrets = [keys.create(f"k{number}")[0] for number in range(20)]

        table.close()
        assert all(secret.startswith("sk-tb-") and len(secret) >= 46 for secret in secrets)
        assert len(set(secrets)) == 20
        on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert b"k19" in on_disk
        assert not any(secret.encode() in on_disk or secret[6:].encode() in on_disk for secret in secrets)

    def test_an_alias_names_one_living_key(self, keys: Keys) -> None:
        keys.create("ci")

        with pytest.raises(Conflict) as refused:
            keys.create("ci")
        keys.revoke("ci")
        _, again = keys.create("ci")

        assert refused.value.code == "alias_taken"
        assert [key.id for key in keys.list()] == [again.id]

    @pytest.mark.parametrize(
        ("param", "values"),
        [
            ("alias", {"alias": " "}),
            ("alias", {"alias": "a" * 201}),
            ("alias", {"alias": "a\nb"}),
            ("alias", {"alias": "\ud800"}),
            ("team", {"alias": "a", "team": ""}),
            ("models", {"alias": "a", "models": ["gpt-*", ""]}),
            ("models", {"alias": "a", "models": ["m"] * 501}),
            ("expires", {"alias": "a", "expires": 1}),
            ("expires", {"alias": "a", "expires": 2**70}),
            ("tags", {"alias": "a", "tags": ["\n"]}),
            ("rpm", {"alias": "a", "rpm": 0}),
            ("tpm", {"alias": "a", "tpm": -1}),
            ("max_parallel_requests", {"alias": "a", "max_parallel_requests": 1.5}),
            ("unpriced", {"alias": "a", "unpriced": "refuse"}),
            ("content", {"alias": "a", "content": "some"}),
        ],
    )
    def test_a_value_that_cannot_be_is_named(self, keys: Keys, param: str, values: dict[str, object]) -> None:
        with pytest.raises(InvalidRequest) as refused:
            keys.create(**values)  # type: ignore[arg-type]

        assert refused.value.param == param
        assert keys.list() == []

    @pytest.mark.parametrize("name", ["nobody", "", "\ud800", "'; DROP TABLE keys; --"])
    def test_what_is_not_there_cannot_be_revoked(self, keys: Keys, name: str) -> None:
        keys.create("ci")

        with pytest.raises(NotFound):
            keys.revoke(name)

        assert len(keys.list()) == 1

    def test_every_change_leaves_a_row_that_says_who_when_and_what(self, table: KeyTable) -> None:
        keys = Keys(table, master_key=MASTER_KEY)
        secret, key = keys.create("ci", team="build", models=["gpt-*"], actor="cli:ann")
        keys.block("ci", actor="cli:bob")
        keys.block("ci", False)
        keys.revoke(key.id, actor="cli:ann")

        rows = table.audit()

        assert [(row["action"], row["kind"], row["actor"], row["name"]) for row in reversed(rows)] == [
            ("create", "team", "cli:ann", "build"),
            ("create", "key", "cli:ann", "ci"),
            ("block", "key", "cli:bob", "ci"),
            ("unblock", "key", "master", "ci"),
            ("revoke", "key", "cli:ann", "ci"),
        ]
        assert rows[-2]["details"] == {"team": "build", "models": ["gpt-*"]}
        assert {row["subject"] for row in rows if row["kind"] == "key"} == {key.id}
        assert all(abs(time.time_ns() - row["at"]) < 60 * 10**9 for row in rows)
        assert secret not in str(rows)

    def test_a_change_that_fails_leaves_no_audit(self, keys: Keys, table: KeyTable) -> None:
        keys.create("ci")
        with pytest.raises(Conflict):
            keys.create("ci")
        with pytest.raises(InvalidRequest):
            keys.create("other", team="new", budgets=[{"amount": 1, "span": "0h"}])

        assert [row["action"] for row in table.audit()] == ["create"]
        assert [key.alias for key in keys.list()] == ["ci"]
        assert keys.teams.list() == []

    def test_the_last_use_is_noted(self, tmp_path: Path) -> None:
        table = KeyTable(tmp_path)
        keys = Keys(table, master_key=MASTER_KEY)
        secret, _ = keys.create("used")
        keys.create("unused")
        before = time.time_ns()

        keys.authenticate(secret)
        keys.close()

        used, unused = keys.list()
        table.close()
        assert used.last_used is not None
        assert before <= used.last_used <= time.time_ns()
        assert unused.last_used is None


class TestTheFile:
    def test_only_its_owner_may_read_it(self, tmp_path: Path) -> None:
        table = KeyTable(tmp_path / "data")
        Keys(table).create("ci")

        modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "data").iterdir()}
        table.close()

        assert modes == {FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600}

    def test_keys_outlive_the_process(self, tmp_path: Path) -> None:
        table = KeyTable(tmp_path)
        secret, key = Keys(table, master_key=MASTER_KEY).create("ci", models=["a", "b*"], expires=2**62)
        table.close()

        table = KeyTable(tmp_path)
        keys = Keys(table, master_key=MASTER_KEY)

        assert keys.list() == [key]
        assert keys.authenticate(secret).models == ("a", "b*")
        table.close()

    def test_a_newer_layout_stops_the_start(self, tmp_path: Path) -> None:
        KeyTable(tmp_path).close()
        with sqlite3.connect(tmp_path / FILE) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()

        with pytest.raises(ConfigError, match="newer"):
            KeyTable(tmp_path)

    def test_a_file_that_is_no_table_says_so(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(b"this is not a database, " * 100)

        with pytest.raises(Unavailable) as refused:
            KeyTable(tmp_path)

        assert refused.value.code == "storage_unavailable"

    def test_nobody_is_let_in_on_old_news_when_the_table_is_gone(self, tmp_path: Path) -> None:
        """Whether a key was revoked cannot be known then."""
        table = KeyTable(tmp_path)
        keys = Keys(table, master_key=MASTER_KEY)
        secret, _ = keys.create("ci")
        table.close()
        time.sleep(1.1)

        with pytest.raises(Unavailable):
            keys.authenticate(secret)

    def test_processes_may_start_at_the_same_time(self, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from tollbook.access import Keys\n"
            "from tollbook.storage.keys import KeyTable\n"
            "table = KeyTable(Path(sys.argv[1])); Keys(table).create(sys.argv[2]); table.close()"
        )
        processes = [
            subprocess.Popen([sys.executable, "-c", program, str(tmp_path), f"worker-{number}"]) for number in range(4)
        ]

        assert [process.wait(timeout=60) for process in processes] == [0] * 4
        table = KeyTable(tmp_path)
        assert {key.alias for key in Keys(table).list()} == {f"worker-{number}" for number in range(4)}
        table.close()


class TestAChangeElsewhere:
    def test_counts_here_within_a_second_though_nobody_asked_before(self, tmp_path: Path) -> None:
        table = KeyTable(tmp_path)
        keys = Keys(table, master_key=MASTER_KEY)
        keys.watch()
        secret, _ = keys.create("ci")
        assert keys.authenticate(secret).alias == "ci"

        elsewhere(tmp_path, "keys.revoke('ci', actor='cli')")

        assert eventually(lambda: refused(keys, secret))
        keys.close()
        table.close()

    def test_counts_here_within_a_second_without_the_watching_thread(self, tmp_path: Path) -> None:
        table = KeyTable(tmp_path)
        keys = Keys(table, master_key=MASTER_KEY)
        secret, _ = keys.create("ci")

        elsewhere(tmp_path, "keys.block('ci', actor='cli')")
        time.sleep(1.05)

        with pytest.raises(Unauthenticated):
            keys.authenticate(secret)
        table.close()

    def test_a_key_made_elsewhere_opens_here(self, tmp_path: Path) -> None:
        table = KeyTable(tmp_path)
        keys = Keys(table, master_key=MASTER_KEY)
        keys.watch()

        elsewhere(tmp_path, "print(keys.create('cli')[0], file=open(Path(sys.argv[1]) / 'secret', 'w'))")
        secret = (tmp_path / "secret").read_text().strip()

        assert eventually(lambda: not refused(keys, secret))
        assert keys.authenticate(secret).alias == "cli"
        keys.close()
        table.close()

    def test_authenticating_while_keys_come_and_go_never_misses(self, keys: Keys) -> None:
        secret, key = keys.create("stays")
        done = threading.Event()
        failures: list[Exception] = []

        def ask() -> None:
            while not done.is_set():
                try:
                    assert keys.authenticate(secret).key_id == key.id
                except Exception as failure:
                    failures.append(failure)
                    return

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        for number in range(20):
            keys.create(f"k{number}")
            keys.revoke(f"k{number}")
        done.set()
        for asker in askers:
            asker.join()

        assert failures == []


class TestModels:
    @pytest.mark.parametrize(
        ("patterns", "model", "allowed"),
        [
            ((), "anything", True),
            (("gpt-5",), "gpt-5", True),
            (("gpt-5",), "gpt-5-mini", False),
            (("gpt-*",), "gpt-5-mini", True),
            (("gpt-*",), "my-gpt-5", False),
            (("openai/*", "claude"), "claude", True),
            (("openai/*",), "openai/gpt-5", True),
            (("*",), "", True),
            (("a.c",), "abc", False),
            (("a[bc]",), "ab", False),
            (("*-mini",), "gpt\n-mini", True),
        ],
    )
    def test_a_pattern_is_a_name_in_which_a_star_is_anything(
        self, patterns: tuple[str, ...], model: str, allowed: bool
    ) -> None:
        assert may_use(Caller("key_1", models=patterns), model) is allowed

    def test_another_model_is_403_and_named(self) -> None:
        caller = Caller("key_1", models=("gpt-*",))

        allow_model(caller, "gpt-5")
        with pytest.raises(Forbidden) as refused:
            allow_model(caller, "claude")

        assert (refused.value.status, refused.value.code, refused.value.param) == (403, "model_not_allowed", "model")
        assert "claude" in refused.value.message


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({}, None),
        ({"authorization": "Bearer sk-1"}, "sk-1"),
        ({"authorization": "bearer   sk-1 "}, "sk-1"),
        ({"authorization": "Basic dXNlcg=="}, None),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "Bearer ", "api-key": "azure"}, "azure"),
        ({"x-api-key": "anthropic"}, "anthropic"),
        ({"x-api-key": ""}, None),
    ],
)
def test_a_secret_is_found_where_clients_put_it(headers: dict[str, str], secret: str | None) -> None:
    assert presented(headers) == secret
