"""One attempt with all it needs, from its choice to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from . import tokens
from .call import Attempt, Outcome
from .config import Deployment
from .dialects import Reader, Written
from .providers import Endpoint
from .responses import request as requests
from .responses.draft import Draft
from .responses.types import Request
from .responses.usage import Usage
from .routing.plan import Choice
from .units import count_units


@dataclass
class Trial:
    """`given` tells whether the client has seen any of it."""

    choice: Choice
    endpoint: Endpoint
    asked: Request
    written: Written
    body: dict[str, Any]
    draft: Draft
    reader: Reader
    attempt: Attempt
    given: bool = False

    @property
    def deployment(self) -> Deployment:
        return self.choice.deployment

    @cached_property
    def input_tokens(self) -> int:
        """About how many tokens the request has."""
        return tokens.roughly(self.asked, requests.items(self.asked))

    def usage(self, *, given_up: bool = False) -> Usage:
        """What the provider reported. An answer that broke off, or that was `given_up` (the client has left, another was
        quicker), was paid for all the same: then it is estimated from the input and from what was heard."""
        draft = self.draft
        if draft.tokens.source != "none" or draft.done or not (draft.has_output or given_up):
            return draft.tokens
        return Usage(
            input=tokens.closely(self.attempt.provider, self.asked, requests.items(self.asked)) or self.input_tokens,
            output=tokens.of_texts(self.attempt.provider, draft.texts_heard) or draft.tokens_heard,
            source="estimated",
        )

    def counted(self, units: Sequence[str], now: int) -> Usage:
        """The attempt's usage with what its price counts beside tokens; `now` is when it ended, in nanoseconds since 1970."""
        usage = self.attempt.usage
        if usage.source == "none":
            return usage
        items = requests.items(self.asked)
        took = now - self.attempt.started
        return replace(usage, units={**usage.units, **count_units(units, self.asked, items, self.draft.response, took)})


def finish_of(draft: Draft) -> str | None:
    """Why the model stopped; calls that the client must answer are a reason of their own."""
    calls = ("function_call", "custom_tool_call")
    if draft.stopped == "stop" and any(i.get("type") in calls for i in draft.response.get("output") or ()):
        return "tool_calls"
    return draft.stopped


def outcome_of(draft: Draft) -> Outcome:
    """How an attempt ended, as its response says."""
    if draft.error is not None or draft.response.get("status") == "failed":
        return "failed"
    if draft.response.get("status") == "cancelled":
        return "cancelled"
    return "incomplete" if draft.response.get("status") == "incomplete" else "completed"
