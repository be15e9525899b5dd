"""The record of one request: a `Call` with its `Attempt`s. Spans, rows, headers and metrics are views of it.

Times are nanoseconds since 1970 (UTC); money is integer nano-USD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol

from .errors import Kind, TollbookError
from .responses.types import Response
from .responses.usage import NO_USAGE, Usage

Operation = Literal["create", "get", "delete", "cancel", "input_items", "input_tokens", "models", "calls"]

Outcome = Literal[
    "completed",
    "incomplete",  # ended by a limit or a filter
    "failed",
    "cancelled",  # by POST /responses/{id}/cancel; an attempt: because another was quicker
    "client_disconnected",
    "rejected",  # refused before any upstream was asked
]

Reason = Literal[
    "initial",
    "retry",  # the same model again, here or elsewhere
    "fallback",  # another model
    "hedge",  # beside one that was slow to speak
    "continuation",  # after a stream that broke off
]


class Line(NamedTuple):
    """One priced component: `quantity` tokens (or calls) of `kind` at `rate` pico-USD each make `amount` nano-USD.

    `rate` is None where the amount is not a product (provider-reported, or priced by a rule with steps). Kinds are those of
    `responses.usage.Usage`, hosted tools by name, "request", "reported", and two that stand for a share of the other lines:
    "uplift" (a region's surcharge) and "discount" (the operator's own, below zero).
    """

    kind: str
    quantity: int
    rate: int | None
    amount: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attempt cost. `status` "unpriced" means unknown, never zero; then `total` is None."""

    status: Literal["priced", "unpriced", "free"]
    lines: tuple[Line, ...] = ()
    total: int | None = None
    """What the provider takes: the sum of the lines."""
    version: str = ""
    """Of the price: catalogue version or date of an override."""
    source: Literal["", "override", "catalogue", "provider"] = ""
    threshold: int | None = None
    """Input tokens above which the rates applied hold; None where the price has no such step, or it was not passed."""
    margin: int = 0
    """What the operator takes on top, in nano-USD. Never part of `total`."""
    input_rate: int | None = None
    """Pico-USD for a token of uncached input under the rates applied: what a cached one is compared with."""

    @property
    def usd(self) -> str | None:
        """The total as an exact decimal, such as "0.000412"."""
        return None if self.total is None else format_usd(self.total)


CURRENCY = "USD"
"""Of every price: the catalogue has no other, and an own price in another is refused."""

COMPONENTS = ("input", "cache_read", "cache_write", "output", "reasoning", "tools", "other")
"""What the lines of a cost are summed to in reports and on spans."""

_COMPONENT = {
    "input": "input",
    "input_audio": "input",
    "input_image": "input",
    "cache_read": "cache_read",
    "cache_read_audio": "cache_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write",
    "output": "output",
    "output_audio": "output",
    "output_image": "output",
    "reasoning": "reasoning",
    "request": "other",
    "reported": "other",
    "uplift": "other",
    "discount": "other",
}


def component(kind: str) -> str:
    """The component that a line of this kind belongs to; a hosted tool is a kind by its own name."""
    return _COMPONENT.get(kind, "tools")


UNPRICED = Cost("unpriced")
FREE = Cost("free", total=0)


def format_usd(nano: int) -> str:
    """Nano-USD as an exact decimal string without trailing zeros: 412000 -> "0.000412"."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    whole, rest = divmod(nano, 1_000_000_000)
    digits = f"{rest:09d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


@dataclass(slots=True)
class Attempt:
    """One try at one deployment."""

    number: int
    deployment: str
    provider: str
    model: str
    """The model as the provider knows it."""
    reason: Reason
    started: int
    host: str = ""
    port: int = 0
    backoff: float = 0.0
    """Seconds waited before it."""
    first_byte: int | None = None
    """When the answer's headers came."""
    first_event: int | None = None
    """When the first event of the answer came, whatever it told."""
    first_output: int | None = None
    """When the first output event came."""
    ended: int | None = None
    status_code: int | None = None
    outcome: Outcome | None = None
    error_kind: Kind | None = None
    error_message: str | None = None
    upstream_request_id: str | None = None
    upstream_response_id: str | None = None
    served_model: str | None = None
    service_tier: str | None = None
    usage: Usage = NO_USAGE
    cost: Cost = UNPRICED
    headers: Mapping[str, str] = field(default_factory=dict)
    """Answer headers worth forwarding (rate limits, processing time)."""
    span_id: str = ""
    abandoned: bool = False
    """Whether another attempt beside it was quicker."""


BACKGROUND = "_background"
"""The end of the id of the call that bills a response made in background; before it stands the id of the one that ordered it."""


@dataclass(slots=True)
class Call:
    """One request from a client, from its first byte to its booking."""

    id: str
    operation: Operation
    started: int
    model: str = ""
    """The public name the client asked for."""
    stream: bool = False
    key_id: str = ""
    """Who owns what this call makes; "" when the gateway runs without keys."""
    key_alias: str | None = None
    team: str | None = None
    end_user: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    keep: Literal["full", "metadata", "none"] = "full"
    """What may be kept of it: everything; the facts without content; the facts without whose they are (end user, tags)."""
    response_id: str | None = None
    previous_response_id: str | None = None
    session_id: str | None = None
    """The id of the first response of the chain."""
    turn: int | None = None
    """Its number in the chain, from 1."""
    task: str | None = None
    """What it is part of, as the client told in `metadata.task`: costs are told for each task, too."""
    client_gone: bool = False
    """Whether the client hung up and the answer was read on without it (`on_disconnect: drain`)."""
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a target had no words for and was left out or changed: "top_k: dropped", "reasoning.effort: adapted (4096 tokens)"."""
    outcome: Outcome | None = None
    status: int = 200
    error: TollbookError | None = None
    finish: str | None = None
    """stop, tool_calls, length, content_filter or error: for the span's finish reasons."""
    first_output: int | None = None
    ended: int | None = None
    events: int = 0
    bytes_out: int = 0
    longest_gap: int = 0
    """Nanoseconds between two frames at the most."""
    longest_gap_at: int | None = None
    """When the longest one ended."""
    requested_tier: str | None = None
    reasoning_effort: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    output_type: str | None = None
    prompt: tuple[str, str | None] | None = None
    """Id and version of the stored prompt that the client named."""
    conversation_id: str | None = None
    """The conversation that the client named; never one that we made up."""
    policy: str | None = None
    """How its deployment was chosen: the routing strategy."""
    provider: str | None = None
    """Who made the response that a get, delete or cancel is about."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """What the client asked for, for those who may see content."""
    trace_id: str = ""
    span_id: str = ""
    response: Response = field(default_factory=dict)
    """What was made, once it is complete."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """Headers that tell what is left of the caller's own limits; they come before those of the provider."""
    continuity: Literal["replayed"] | None = None
    """Set when another deployment answers than the one that made what the call follows."""
    parent_span: tuple[str, str] | None = None
    """Trace id and span id of the call that made the parent response (or, for get, delete and cancel, the response)."""

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that answered, or the last that tried; not one that another was quicker than."""
        return next((a for a in reversed(self.attempts) if not a.abandoned), None)

    @property
    def usage(self) -> Usage:
        """Tokens of the attempt that answered."""
        attempt = self.attempt
        return attempt.usage if attempt is not None else NO_USAGE

    @property
    def cost(self) -> Cost:
        """All attempts together: unpriced as soon as one that answered, or used tokens, is unpriced."""
        answered = ("completed", "incomplete")
        spent = [a.cost for a in self.attempts if a.usage.source != "none" or a.cost.total or a.outcome in answered]
        if not spent:
            return FREE
        if any(c.status == "unpriced" for c in spent):
            return UNPRICED
        last = spent[-1]
        if len(spent) == 1 and last.status == "priced":
            return last
        return replace(
            last,
            status="priced",
            lines=tuple(line for c in spent for line in c.lines),
            total=sum(c.total or 0 for c in spent),
            margin=sum(c.margin for c in spent),
        )


class Observer(Protocol):
    """Somebody who wants to know of calls; telemetry is one. Nothing it does may raise or wait."""

    def begins(self, call: Call) -> None:
        """A call has begun; may set `call.trace_id` and `call.span_id`."""

    def attempt_begins(self, call: Call, attempt: Attempt) -> Mapping[str, str]:
        """An attempt is about to be sent. Answers headers to send along (trace context)."""

    def attempt_ends(self, call: Call, attempt: Attempt) -> None:
        """An attempt is over: answered, failed or given up."""

    def ends(self, call: Call) -> None:
        """The call is over and booked; told exactly once."""
