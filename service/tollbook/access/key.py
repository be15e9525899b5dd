"""A virtual key, and what may be said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, get_args

from tollbook.errors import InvalidRequest

from . import values
from .caller import Caller, Content, Unpriced
from .teams import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A virtual key. Times are nanoseconds since 1970. `models` are patterns in which * stands for anything; none allow all.

    `tags` are added to each of its calls. `unpriced` says what becomes of models without a known price, `content` what is
    kept of its calls. `hint` is the end of its newest secret, for people to tell keys apart.
    """

    id: str
    alias: str
    owner: str | None
    team: str | None
    models: tuple[str, ...]
    tags: tuple[str, ...] = ()
    unpriced: Unpriced = "allow"
    content: Content = "full"
    rpm: int | None = None
    tpm: int | None = None
    max_parallel_requests: int | None = None
    created: int
    expires: int | None = None
    last_used: int | None = None
    blocked: bool = False
    revoked: int | None = None
    hint: str = ""


class Terms(TypedDict, total=False):
    """What may be said of a key beside its alias."""

    owner: str | None
    team: str | None
    models: Sequence[str]
    tags: Sequence[str]
    unpriced: Unpriced
    content: Content
    rpm: int | None
    tpm: int | None
    max_parallel_requests: int | None
    expires: int | None


def key(row: Mapping[str, Any]) -> Key:
    """A row of the table as a key."""
    fields = {name: row[name] for name in Key.__slots__}
    return Key(**fields | {"models": tuple(row["models"]), "tags": tuple(row["tags"])})


def caller(key: Key, team: Team | None) -> Caller:
    """Who comes in with this key."""
    shared = team.tags if team else ()
    return Caller(
        key.id,
        key.alias,
        key.team,
        models=key.models,
        team_models=team.models if team else (),
        tags=tuple(dict.fromkeys((*key.tags, *shared))),
        unpriced=key.unpriced,
        content=key.content,
    )


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "alias": lambda value: values.name(value, "alias"),
    "owner": lambda value: values.name_or_none(value, "owner"),
    "team": lambda value: values.name_or_none(value, "team"),
    "models": lambda value: values.names(value, "models", "model patterns"),
    "tags": lambda value: values.names(value, "tags", "tags"),
    "unpriced": lambda value: values.one_of(value, get_args(Unpriced), "unpriced"),
    "content": lambda value: values.one_of(value, get_args(Content), "content"),
    "rpm": lambda value: values.count(value, "rpm"),
    "tpm": lambda value: values.count(value, "tpm"),
    "max_parallel_requests": lambda value: values.count(value, "max_parallel_requests"),
}


def checked(said: Mapping[str, Any], now: int) -> dict[str, Any]:
    """What is said of a key, as its row holds it. Raises InvalidRequest, naming the parameter, for a value that cannot be."""
    found: dict[str, Any] = {}
    for name, value in said.items():
        if name == "expires":
            if value is not None and value <= now:
                raise InvalidRequest("A key cannot expire in the past.", param="expires")
            if value is not None and value >= 2**63:
                raise InvalidRequest("A key cannot expire after the year 2262.", param="expires")
            found[name] = value
        else:
            found[name] = _CHECKS[name](value)
    return found
