"""What the administrator's routes take and answer. From these shapes come the checks of a request and the schemas of OpenAPI.

Amounts are US dollars: numbers or decimals as text when they come in, exact decimals as text when they go out. Times are
RFC 3339; `expires` may also come in as seconds since 1970.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from tollbook.access.caller import Content, Unpriced
from tollbook.config.budgets import Scope

Text: TypeAlias = Annotated[str, Meta(max_length=1000)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Dollars: TypeAlias = Annotated[Decimal, Meta(description="US dollars; at most nine decimals")]
Exact: TypeAlias = Annotated[str, Meta(description="US dollars, an exact decimal", examples=["0.000412"])]
Moment: TypeAlias = Annotated[str, Meta(description="RFC 3339, UTC")]
When: TypeAlias = Annotated[float | str, Meta(description="seconds since 1970, or an RFC 3339 time")]
Span: TypeAlias = Annotated[
    str,
    Meta(
        description="90s, 15m, 24h, 30d, 4w; day, week or month of the time zone; or total, which never ends",
        examples=["24h"],
    ),
]
Zone: TypeAlias = Annotated[str, Meta(description="of a day, week or month", examples=["Europe/Berlin"])]
Soft: TypeAlias = Annotated[
    float, Meta(description="where a warning is given: a share of the amount up to 1, dollars above it", examples=[0.8])
]
Models: TypeAlias = Annotated[list[Text], Meta(description="public model names, * stands for anything; none allow all")]
Tags: TypeAlias = Annotated[list[Text], Meta(description="added to the tags of every call")]


class Facts(Struct):
    """What went wrong, as OpenAI tells it."""

    message: str
    type: str
    param: str | None
    code: str | None


class Refused(Struct):
    """An error."""

    error: Facts


# ---------------------------------------------------------------------------------------------------------------- budgets


class OwnBudget(Struct, kw_only=True, forbid_unknown_fields=True):
    """A budget of what is made with it."""

    amount_usd: Dollars
    window: Span
    zone: Zone | None = None
    soft: Soft | None = None
    name: Annotated[Text, Meta(description="made up where none is given")] | None = None


class NewBudget(OwnBudget, kw_only=True, forbid_unknown_fields=True):
    """A budget for one key, team, end user or model, or, where none of them is given, for everything."""

    key: Annotated[Text, Meta(description="the id or alias of a key")] | None = None
    team: Annotated[Text, Meta(description="the name of a team")] | None = None
    end_user: Annotated[Text, Meta(description="a pattern; each end user that fits has a budget of its own")] | None = (
        None
    )
    model: Annotated[Text, Meta(description="a pattern of public model names, which share the budget")] | None = None


class BudgetChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be different. What was spent stays spent."""

    name: Text | UnsetType = UNSET
    amount_usd: Dollars | UnsetType = UNSET
    window: Span | UnsetType = UNSET
    zone: Zone | UnsetType = UNSET
    soft: Soft | UnsetType | None = UNSET


class Share(Struct, kw_only=True):
    """What one end user spent of a budget that each has."""

    end_user: str
    spent_usd: Exact
    reserved_usd: Exact
    left_usd: Exact


class Budget(Struct, kw_only=True):
    """A budget and how it stands."""

    object: Literal["budget"] = "budget"
    id: str
    name: str
    scope: Scope
    subject: Annotated[str, Meta(description="a key's id, a team's name, a pattern, or nothing")]
    key_alias: str | None = None
    amount_usd: Exact
    window: Span
    zone: Zone
    soft: Soft | None
    spent_usd: Exact
    reserved_usd: Annotated[str, Meta(description="what calls under way may cost at the most")]
    left_usd: Exact
    resets_at: Annotated[Moment, Meta(description="when the window ends, or frees enough for another call")] | None
    created: Moment | None
    configured: Annotated[bool, Meta(description="set in config.yaml, and changed there only")]
    end_user_count: int | UnsetType = UNSET
    end_users: Annotated[list[Share], Meta(description="those who spent the most")] | UnsetType = UNSET


class BudgetList(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Budget]


# ------------------------------------------------------------------------------------------------------------------- keys


class NewKey(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key that is to be made."""

    alias: Annotated[Text, Meta(description="a name for people; no two living keys have the same")]
    owner: Text | None = None
    team: Annotated[Text, Meta(description="its team; a name that is new makes a team")] | None = None
    models: Models | None = None
    tags: Tags | None = None
    unpriced: Annotated[Unpriced, Meta(description="what becomes of models whose price is not known")] = "allow"
    content: Annotated[Content, Meta(description="what of its calls may be kept")] = "full"
    rpm: Annotated[Count, Meta(description="requests a minute")] | None = None
    tpm: Annotated[Count, Meta(description="tokens a minute")] | None = None
    max_parallel_requests: Count | None = None
    expires: When | None = None
    budgets: list[OwnBudget] | None = None


class KeyChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; null takes a limit away."""

    alias: Text | UnsetType = UNSET
    owner: Text | UnsetType | None = UNSET
    team: Text | UnsetType | None = UNSET
    models: Models | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    unpriced: Unpriced | UnsetType = UNSET
    content: Content | UnsetType = UNSET
    rpm: Count | UnsetType | None = UNSET
    tpm: Count | UnsetType | None = UNSET
    max_parallel_requests: Count | UnsetType | None = UNSET
    expires: When | UnsetType | None = UNSET


class Rotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the old secret is good."""

    grace: Annotated[float, Meta(description="seconds; 0 ends it at once", ge=0)] = 86_400


class Key(Struct, kw_only=True):
    """A virtual key, without its secret."""

    object: Literal["key"] = "key"
    id: str
    alias: str
    owner: str | None
    team: str | None
    models: list[str]
    tags: list[str]
    unpriced: Unpriced
    content: Content
    rpm: int | None
    tpm: int | None
    max_parallel_requests: int | None
    created: Moment
    expires: Moment | None
    last_used: Moment | None
    blocked: bool
    revoked: Moment | None
    hint: Annotated[str, Meta(description="the end of its newest secret")]
    secret: Annotated[str, Meta(description="shown this once")] | UnsetType = UNSET
    old_secret_until: Moment | UnsetType = UNSET
    budgets: list[Budget] | UnsetType = UNSET
    warnings: Annotated[list[str], Meta(description="what was accepted, and is perhaps not meant")] | UnsetType = UNSET


class KeyList(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Key]


class Revoked(Struct, kw_only=True):
    id: str
    object: Literal["key"] = "key"
    revoked: Literal[True] = True


class Limit(Struct, kw_only=True):
    """A limit a minute, and what is left of it."""

    whose: str
    kind: Literal["requests", "tokens"]
    limit: int
    remaining: int
    full_in: Annotated[float, Meta(description="seconds")]


class Own(Struct, kw_only=True):
    """Who a key is, what it may do, and what is left to it."""

    object: Literal["key"] = "key"
    id: str
    alias: str | None
    team: str | None
    admin: Annotated[bool, Meta(description="whether it is the master key, or the gateway has none")]
    models: list[str]
    team_models: list[str]
    tags: list[str]
    unpriced: Unpriced
    content: Content
    expires: Moment | None
    max_parallel_requests: int | None
    limits: list[Limit]
    budgets: list[Budget]


# ------------------------------------------------------------------------------------------------------------------ teams


class NewTeam(Struct, kw_only=True, forbid_unknown_fields=True):
    """A team that is to be made."""

    name: Annotated[Text, Meta(description="it stays, for it stands in the books")]
    models: Models | None = None
    tags: Tags | None = None
    rpm: Annotated[Count, Meta(description="requests a minute of all its keys together")] | None = None
    tpm: Annotated[Count, Meta(description="tokens a minute of all its keys together")] | None = None
    budgets: list[OwnBudget] | None = None


class TeamChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; null takes a limit away."""

    models: Models | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    rpm: Count | UnsetType | None = UNSET
    tpm: Count | UnsetType | None = UNSET


class Team(Struct, kw_only=True):
    """A team: terms that its keys share."""

    object: Literal["team"] = "team"
    id: str
    name: str
    models: list[str]
    tags: list[str]
    rpm: int | None
    tpm: int | None
    created: Moment
    blocked: bool
    budgets: list[Budget] | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class TeamList(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Team]


class Removed(Struct, kw_only=True):
    id: str
    object: Literal["team", "budget"]
    removed: Literal[True] = True


# ------------------------------------------------------------------------------------------------------------------ audit


class Act(Struct, kw_only=True):
    """Something that was done to a key, team or budget."""

    number: int
    at: Moment
    actor: str
    action: str
    kind: Literal["key", "team", "budget"]
    subject: Annotated[str, Meta(description="the id")]
    name: Annotated[str, Meta(description="alias or name at that time")]
    details: Annotated[dict[str, Any], Meta(description="of a change: [before, after] of each field")]


class Audit(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Act]
    has_more: bool
