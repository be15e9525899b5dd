"""Secrets -> callers.

A secret is 43 random characters (256 bits) behind `sk-tb-`, shown once. What is kept is its SHA-256: a slow, salted hash protects
passwords, which people choose from a small space; nobody can search 2^256 however fast the hash is, and a fast one lets
every request be checked. Lookups go by the first half of the hash and compare the whole in constant time.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from threading import Event, Lock, Thread
from typing import Any, NamedTuple, Protocol, Unpack

from tollbook.config.budgets import Budget, Limit
from tollbook.errors import InvalidRequest, Unauthenticated, Unavailable
from tollbook.responses.ids import make_id

from . import budgets as budget_rows
from . import teams as team_rows
from .budgets import Budgets
from .caller import MASTER, MASTER_CALLER, NOBODY, Caller, allow_model, may_use, presented
from .key import Key, Terms, caller, checked, key
from .patterns import meet
from .rules import Rules
from .teams import Team, Teams

__all__ = ["MASTER", "NOBODY", "PREFIX", "Caller", "Key", "Keys", "allow_model", "may_use", "presented"]

PREFIX = "sk-tb-"
DAY = 86_400
"""Seconds that an old secret stays good after a rotation, if nothing else is said."""

_LONGEST_SECRET = 512
_POLL = 0.25
"""Seconds between two looks at the table: a change elsewhere counts after that."""
_STALE = 1.0
"""Seconds after which a look is due before anybody is let in, should the watching thread be late."""
_NOTE_USE = 30.0
"""Seconds between two notes of when keys were last used."""

_log = logging.getLogger(__name__)


class Snapshot(Protocol):
    """All rows that count at one moment."""

    @property
    def keys(self) -> list[dict[str, Any]]: ...

    @property
    def secrets(self) -> list[dict[str, Any]]: ...

    @property
    def teams(self) -> list[dict[str, Any]]: ...

    @property
    def budgets(self) -> list[dict[str, Any]]: ...


class Table(Protocol):
    """Where keys are kept: storage/keys.py. A row is a dictionary with the fields of `Key`."""

    @property
    def teams(self) -> team_rows.Table: ...

    @property
    def budgets(self) -> budget_rows.Table: ...

    def version(self) -> object: ...

    def snapshot(self) -> Snapshot: ...

    def changing(self) -> AbstractContextManager[Any]: ...

    def rows(self) -> list[dict[str, Any]]: ...

    def find(self, id_or_alias: str) -> dict[str, Any]: ...

    def insert(self, row: Mapping[str, Any], digest: bytes, *, actor: str) -> None: ...

    def change(self, id_or_alias: str, values: Mapping[str, Any], *, actor: str) -> dict[str, Any]: ...

    def rotate(
        self, id_or_alias: str, digest: bytes, hint: str, *, now: int, until: int, actor: str
    ) -> dict[str, Any]: ...

    def revoke(self, id_or_alias: str, *, actor: str) -> str: ...

    def block(self, id_or_alias: str, blocked: bool, *, actor: str) -> str: ...

    def touch(self, used: Mapping[str, int]) -> None: ...

    def audit(self, limit: int, before: int | None) -> list[dict[str, Any]]: ...


class _Entrance(NamedTuple):
    """What a secret opens."""

    digest: bytes
    expires: int | None
    key: Key
    caller: Caller
    team_blocked: bool


class Keys:
    """The keys of this gateway, with their `teams` and `budgets`.

    `authenticate` answers from memory, and `rules` are what is remembered of limits and budgets. A thread (`watch`) looks at
    the table four times a second, so that what another worker or the CLI changes counts within a second. Everything else uses
    the disk: an event loop calls it in a thread. The table belongs to whoever opened it.
    """

    def __init__(self, table: Table, *, master_key: str | None = None, clock: Callable[[], int] = time.time_ns) -> None:
        self._table = table
        self._master = _digest(master_key) if master_key else None
        self._clock = clock
        self._lock = Lock()
        self._version: object = None
        self._by_digest: dict[bytes, _Entrance] = {}
        self._looked = float("-inf")
        self._used: dict[str, int] = {}
        self._noted: dict[str, int] = {}
        self._closing = Event()
        self._thread: Thread | None = None
        self._limits: tuple[Limit, ...] = ()
        self.teams = Teams(table.teams, clock=clock, changed=self.refresh)
        self.budgets = Budgets(table.budgets, clock=clock, changed=self.refresh)
        self.rules = Rules()
        self.refresh()

    @property
    def open(self) -> bool:
        """Whether there is no master key, so that everybody who reaches the gateway may do everything."""
        return self._master is None

    def configure(self, budgets: Sequence[Budget], limits: Sequence[Limit]) -> None:
        """The budgets and limits that the configuration says, from now on."""
        self.budgets.configured = tuple(budgets)
        self._limits = tuple(limits)
        with self._lock:
            self._version = None
        self.refresh()

    def authenticate(self, secret: str | None) -> Caller:
        """Who has this secret. Without a master key also those who have none, or one of another kind, may enter.

        Raises Unauthenticated with code invalid_api_key, key_expired, key_rotated, key_blocked or team_blocked; no message
        holds the secret.
        """
        if time.monotonic() - self._looked > _STALE:
            self.refresh()
        if not secret:
            if self._master is None:
                return NOBODY
            raise Unauthenticated("No API key was given. Send it as 'Authorization: Bearer <key>'.")
        digest = _digest(secret[:_LONGEST_SECRET])
        known = self._by_digest.get(digest[:16])
        if known is not None and hmac.compare_digest(known.digest, digest):
            return self._enter(known)
        if self._master is None:
            if not secret.startswith(PREFIX):
                return NOBODY
        elif hmac.compare_digest(self._master, digest):
            return MASTER_CALLER
        raise Unauthenticated("The API key is not valid.")

    def create(
        self,
        alias: str,
        *,
        budgets: Sequence[Mapping[str, Any]] = (),
        actor: str = MASTER,
        **terms: Unpack[Terms],
    ) -> tuple[str, Key]:
        """A new key with its secret, which cannot be had again, and its budgets (arguments of `Budgets.create`).

        Raises Conflict for an alias in use and InvalidRequest, naming the parameter, for a value that cannot be. Either
        everything is made, or nothing.
        """
        now = self._clock()
        secret, digest = _new_secret()
        said = checked({"alias": alias, **terms}, now)
        made = Key(
            **{"owner": None, "team": None, "models": (), **said}, id=make_id("key"), created=now, hint=secret[-4:]
        )
        try:
            with self._table.changing():
                self._table.insert({name: getattr(made, name) for name in Key.__slots__}, digest, actor=actor)
                for budget in budgets:
                    self.budgets.add(**{**budget, "scope": "key", "subject": made.id, "label": made.alias}, actor=actor)
        finally:
            self.refresh()
        return secret, made

    def find(self, id_or_alias: str) -> Key:
        """A key that was not revoked. Raises NotFound."""
        return key(self._table.find(id_or_alias))

    def change(self, id_or_alias: str, *, alias: str | None = None, actor: str = MASTER, **terms: Unpack[Terms]) -> Key:
        """Other terms for a key; what is not said stays. Raises as `create` does, and NotFound."""
        said: dict[str, Any] = {**terms} if alias is None else {"alias": alias, **terms}
        row = self._table.change(id_or_alias, checked(said, self._clock()), actor=actor)
        self.refresh()
        return key(row)

    def rotate(self, id_or_alias: str, *, grace: float = DAY, actor: str = MASTER) -> tuple[str, Key, int]:
        """Another secret for a key. The one it had is good for `grace` seconds more; 0 ends it at once. The third part of the
        answer is when. Raises NotFound."""
        if not 0 <= grace <= 366 * DAY:
            raise InvalidRequest("The grace of an old secret is 0 seconds to a year.", param="grace")
        secret, digest = _new_secret()
        now = self._clock()
        until = now + int(grace * 1_000_000_000)
        row = self._table.rotate(id_or_alias, digest, secret[-4:], now=now, until=until, actor=actor)
        self.refresh()
        return secret, key(row), until

    def list(self, *, revoked: bool = False) -> list[Key]:
        """All keys, oldest first; with `revoked` also those that were revoked."""
        keys = [key(row) for row in self._table.rows()]
        return [each for each in keys if revoked or each.revoked is None]

    def revoke(self, id_or_alias: str, *, actor: str = MASTER) -> str:
        """End a key for good; returns its id. Raises NotFound."""
        key_id = self._table.revoke(id_or_alias, actor=actor)
        self.refresh()
        return key_id

    def block(self, id_or_alias: str, blocked: bool = True, *, actor: str = MASTER) -> str:
        """Suspend a key, or let it be used again; returns its id. Raises NotFound."""
        key_id = self._table.block(id_or_alias, blocked, actor=actor)
        self.refresh()
        return key_id

    def create_team(
        self, name: str, *, budgets: Sequence[Mapping[str, Any]] = (), actor: str = MASTER, **terms: Any
    ) -> Team:
        """A new team (`Teams.add`) with its budgets: everything is made, or nothing."""
        try:
            with self._table.changing():
                made = self.teams.add(name, actor=actor, **terms)
                for budget in budgets:
                    self.budgets.add(**{**budget, "scope": "team", "subject": made.name}, actor=actor)
        finally:
            self.refresh()
        return made

    def audit(self, limit: int = 100, before: int | None = None) -> Sequence[dict[str, Any]]:
        """What was done to keys, teams and budgets, newest first: the rows numbered below `before`."""
        return self._table.audit(limit, before)

    def refresh(self) -> None:
        """Look at the table now. Reads the rows only if something changed."""
        with self._lock:
            version = self._table.version()
            if version != self._version:
                self._take(self._table.snapshot())
                self._version = version
            self._looked = time.monotonic()

    def watch(self) -> None:
        """Begin to look at the table in a thread, until `close`."""
        if self._thread is None:
            self._thread = Thread(target=self._watch, name="tollbook-keys", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop watching and note when keys were last used. Closing twice is closing once."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._note_use()

    def _take(self, rows: Snapshot) -> None:
        keys = {row["id"]: key(row) for row in rows.keys if row["revoked"] is None}
        teams = {row["name"]: team_rows.team(row) for row in rows.teams}
        entrances: dict[bytes, _Entrance] = {}
        for secret in rows.secrets:
            opened = keys.get(secret["key_id"])
            if opened is not None:
                team = teams.get(opened.team or "")
                entrances[secret["digest"][:16]] = _Entrance(
                    secret["digest"],
                    secret["expires"],
                    opened,
                    caller(opened, team),
                    team is not None and team.blocked,
                )
        made = budget_rows.readable(rows.budgets)
        self._by_digest = entrances
        self.rules = Rules(keys.values(), teams.values(), (*self.budgets.configured, *made), self._limits)

    def _enter(self, entrance: _Entrance) -> Caller:
        now = self._clock()
        opened = entrance.key
        if opened.blocked:
            raise Unauthenticated("The API key is blocked.", code="key_blocked")
        if entrance.team_blocked:
            raise Unauthenticated("The team of this API key is blocked.", code="team_blocked")
        if opened.expires is not None and opened.expires <= now:
            raise Unauthenticated("The API key has expired.", code="key_expired")
        if entrance.expires is not None and entrance.expires <= now:
            raise Unauthenticated("A newer secret has taken the place of this API key's.", code="key_rotated")
        self._used[opened.id] = now
        return entrance.caller

    def _watch(self) -> None:
        noted = time.monotonic()
        failing = False
        while not self._closing.wait(_POLL):
            try:
                self.refresh()
                if time.monotonic() - noted >= _NOTE_USE:
                    noted = time.monotonic()
                    self._note_use()
            except Unavailable as failure:  # said once; `authenticate` refuses everybody until it is over
                if not failing:
                    _log.error("Keys cannot be read: %s", failure)
                failing = True
            else:
                failing = False

    def _note_use(self) -> None:
        used = dict(self._used)
        fresh = {key_id: at for key_id, at in used.items() if self._noted.get(key_id) != at}
        try:
            self._table.touch(fresh)
        except Unavailable as failure:  # it is tried again with the next ones
            _log.warning("The last use of keys was not noted: %s", failure)
        else:
            self._noted = used


def unmatched(patterns: Sequence[str], models: Sequence[str]) -> list[str]:
    """The patterns that no model of the configuration fits, by its public name (which may hold a * itself)."""
    return [pattern for pattern in patterns if not any(meet(pattern, model) for model in models)]


def _new_secret() -> tuple[str, bytes]:
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, _digest(secret)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
