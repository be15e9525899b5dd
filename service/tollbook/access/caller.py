"""Who makes a request, and which models they may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tollbook.errors import Forbidden

from .patterns import fits

Unpriced = Literal[
    "allow",  # a model whose price nobody knows is served, and booked as unpriced
    "warn",  # and the answer says so
    "block",  # it is refused before anybody is asked
]
Content = Literal["full", "metadata", "none"]
"""What of a key's calls may be kept, as in `Call.keep`."""

MASTER = "master"
"""Key id of calls made with the master key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request. `key_id` owns what the request makes; "" when the gateway runs without keys.

    `models` and `team_models` are patterns; a model must fit both, and an empty list allows all. `tags` are those of the key
    and its team.
    """

    key_id: str
    alias: str | None = None
    team: str | None = None
    admin: bool = False
    models: tuple[str, ...] = ()
    team_models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    unpriced: Unpriced = "allow"
    content: Content = "full"

    @property
    def scope(self) -> str | None:
        """Whose responses and calls this caller may see: its own key's id, or None for everybody's."""
        return None if self.admin else self.key_id


NOBODY = Caller("", admin=True)
"""Everybody who reaches a gateway without a master key, which listens on the loopback address only."""

MASTER_CALLER = Caller(MASTER, alias=MASTER, admin=True)


def presented(headers: Mapping[str, str]) -> str | None:
    """The secret in a request's headers (names in lower case).

    `Authorization: Bearer` as OpenAI's clients send it, else `x-api-key` (Anthropic's) or `api-key` (Azure's).
    """
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or headers.get("api-key") or None


def may_use(caller: Caller, model: str) -> bool:
    """Whether the caller's key, and its team, allow a model, by its public name."""
    return all(not patterns or fits(patterns, model) for patterns in (caller.models, caller.team_models))


def allow_model(caller: Caller, model: str) -> None:
    """Raises Forbidden (code model_not_allowed) if the caller's key does not allow the model."""
    if not may_use(caller, model):
        raise Forbidden(f"This API key may not use the model {model!r}.", code="model_not_allowed", param="model")
