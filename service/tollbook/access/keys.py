"""Secrets -> callers.

A secret is 43 random characters (256 bits) behind `sk-tb-`, shown once. What is kept is its SHA-256: a slow, salted hash protects
passwords, which people choose from a small space; nobody can search 2^256 however fast the hash is, and a fast one lets
every request be checked. Lookups go by the first half of the hash and compare the whole in constant time.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from threading import Event, Lock, Thread
from typing import Any, Protocol

from tollbook.errors import Forbidden, InvalidRequest, Unauthenticated, Unavailable
from tollbook.responses.ids import make_id

PREFIX = "sk-tb-"
MASTER = "master"
"""Key id of calls made with the master key."""

_LONGEST_SECRET = 512
_LONGEST_NAME = 200
_MOST_MODELS = 500
_POLL = 0.25
"""Seconds between two looks at the table: a change elsewhere counts after that."""
_STALE = 1.0
"""Seconds after which a look is due before anybody is let in, should the watching thread be late."""
_NOTE_USE = 30.0
"""Seconds between two notes of when keys were last used."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A virtual key. Times are nanoseconds since 1970. `models` are patterns in which * stands for anything; none allow all.

    `hint` is the end of the secret, for people to tell keys apart.
    """

    id: str
    alias: str
    owner: str | None
    team: str | None
    models: tuple[str, ...]
    created: int
    expires: int | None = None
    last_used: int | None = None
    blocked: bool = False
    revoked: int | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request. `key_id` owns what the request makes; "" when the gateway runs without keys."""

    key_id: str
    alias: str | None = None
    team: str | None = None
    admin: bool = False
    models: tuple[str, ...] = ()

    @property
    def scope(self) -> str | None:
        """Whose responses and calls this caller may see: its own key's id, or None for everybody's."""
        return None if self.admin else self.key_id


NOBODY = Caller("", admin=True)
"""Everybody who reaches a gateway without a master key, which listens on the loopback address only."""

_MASTER_CALLER = Caller(MASTER, alias=MASTER, admin=True)


class Table(Protocol):
    """Where keys are kept: storage/keys.py. A row is a dictionary with the fields of `Key` and `digest`."""

    def version(self) -> object: ...

    def rows(self) -> list[dict[str, Any]]: ...

    def insert(self, row: Mapping[str, Any], *, actor: str) -> None: ...

    def revoke(self, id_or_alias: str, *, actor: str) -> str: ...

    def block(self, id_or_alias: str, blocked: bool, *, actor: str) -> str: ...

    def touch(self, used: Mapping[str, int]) -> None: ...


class Keys:
    """The keys of this gateway.

    `authenticate` answers from memory. A thread (`watch`) looks at the table four times a second, so that a key made or
    revoked by another worker or the CLI counts within a second. `create`, `revoke`, `block` and `list` use the disk: an
    event loop calls them in a thread. The table belongs to whoever opened it.
    """

    def __init__(self, table: Table, *, master_key: str | None = None, clock: Callable[[], int] = time.time_ns) -> None:
        self._table = table
        self._master = _digest(master_key) if master_key else None
        self._clock = clock
        self._lock = Lock()
        self._version: object = None
        self._by_digest: dict[bytes, tuple[bytes, Key, Caller]] = {}
        self._looked = float("-inf")
        self._used: dict[str, int] = {}
        self._noted: dict[str, int] = {}
        self._closing = Event()
        self._thread: Thread | None = None
        self.refresh()

    @property
    def open(self) -> bool:
        """Whether there is no master key, so that everybody who reaches the gateway may do everything."""
        return self._master is None

    def authenticate(self, secret: str | None) -> Caller:
        """Who has this secret. Without a master key also those who have none, or one of another kind, may enter.

        Raises Unauthenticated with code invalid_api_key, key_expired or key_blocked; no message holds the secret.
        """
        if time.monotonic() - self._looked > _STALE:
            self.refresh()
        if not secret:
            if self._master is None:
                return NOBODY
            raise Unauthenticated("No API key was given. Send it as 'Authorization: Bearer <key>'.")
        digest = _digest(secret[:_LONGEST_SECRET])
        known = self._by_digest.get(digest[:16])
        if known is not None and hmac.compare_digest(known[0], digest):
            return self._enter(known[1], known[2])
        if self._master is None:
            if not secret.startswith(PREFIX):
                return NOBODY
        elif hmac.compare_digest(self._master, digest):
            return _MASTER_CALLER
        raise Unauthenticated("The API key is not valid.")

    def create(
        self,
        alias: str,
        *,
        team: str | None = None,
        owner: str | None = None,
        models: Sequence[str] = (),
        expires: int | None = None,
        actor: str = MASTER,
    ) -> tuple[str, Key]:
        """A new key with its secret, which cannot be had again. `expires` is in nanoseconds since 1970.

        Raises Conflict for an alias in use and InvalidRequest, naming the parameter, for a value that cannot be.
        """
        now = self._clock()
        if expires is not None and expires <= now:
            raise InvalidRequest("A key cannot expire in the past.", param="expires")
        if len(models) > _MOST_MODELS:
            raise InvalidRequest(f"A key cannot have more than {_MOST_MODELS} model patterns.", param="models")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(
            id=make_id("key"),
            alias=_name(alias, "alias"),
            owner=None if owner is None else _name(owner, "owner"),
            team=None if team is None else _name(team, "team"),
            models=tuple(_name(model, "models") for model in models),
            created=now,
            expires=expires,
            hint=secret[-4:],
        )
        row = {name: getattr(key, name) for name in Key.__slots__}
        self._table.insert(row | {"digest": _digest(secret)}, actor=actor)
        self.refresh()
        return secret, key

    def list(self, *, revoked: bool = False) -> list[Key]:
        """All keys, oldest first; with `revoked` also those that were revoked."""
        keys = [_key(row) for row in self._table.rows()]
        return [key for key in keys if revoked or key.revoked is None]

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

    def refresh(self) -> None:
        """Look at the table now. Reads the rows only if something changed."""
        with self._lock:
            version = self._table.version()
            if version != self._version:
                self._by_digest = {
                    row["digest"][:16]: (row["digest"], key, Caller(key.id, key.alias, key.team, models=key.models))
                    for row in self._table.rows()
                    if (key := _key(row)).revoked is None
                }
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

    def _enter(self, key: Key, caller: Caller) -> Caller:
        now = self._clock()
        if key.blocked:
            raise Unauthenticated("The API key is blocked.", code="key_blocked")
        if key.expires is not None and key.expires <= now:
            raise Unauthenticated("The API key has expired.", code="key_expired")
        self._used[key.id] = now
        return caller

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


def presented(headers: Mapping[str, str]) -> str | None:
    """The secret in a request's headers (names in lower case).

    `Authorization: Bearer` as OpenAI's clients send it, else `x-api-key` (Anthropic's) or `api-key` (Azure's).
    """
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or headers.get("api-key") or None


def may_use(caller: Caller, model: str) -> bool:
    """Whether the caller's key allows a model, by its public name."""
    return not caller.models or _pattern(caller.models).fullmatch(model) is not None


def allow_model(caller: Caller, model: str) -> None:
    """Raises Forbidden (code model_not_allowed) if the caller's key does not allow the model."""
    if not may_use(caller, model):
        raise Forbidden(f"This API key may not use the model {model!r}.", code="model_not_allowed", param="model")


@lru_cache(maxsize=1024)
def _pattern(models: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(".*".join(map(re.escape, model.split("*"))) for model in models), re.DOTALL)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _key(row: Mapping[str, Any]) -> Key:
    fields: dict[str, Any] = {name: row[name] for name in Key.__slots__}
    return Key(**fields | {"models": tuple(row["models"])})


def _name(value: str, param: str) -> str:
    if not value.strip() or len(value) > _LONGEST_NAME or not value.isprintable():
        raise InvalidRequest(f"{param} must be 1 to {_LONGEST_NAME} printable characters.", param=param)
    return value.strip()
