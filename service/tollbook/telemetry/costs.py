"""What a call cost, in the words of those who read it: one table of names, since no convention has settled on one.

https://github.com/open-telemetry/semantic-conventions-genai/pull/443 is the draft (amount, currency, source); until it is
merged `gen_ai.usage.cost` is what backends read. The two never stand on one span: a name that is also the beginning of
another breaks stores that nest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from tollbook.call import Call, Cost, Line, component
from tollbook.transport.wire import encode

from . import names

if TYPE_CHECKING:
    from .genai import Attributes


def parts(lines: Iterable[Line]) -> dict[str, int]:
    """Nano-USD by component. They add up to the cost; `other`, where discounts are, may be below zero."""
    found: dict[str, int] = {}
    for line in lines:
        part = component(line.kind)
        found[part] = found.get(part, 0) + line.amount
    return found


def shares(cost: Cost) -> dict[str, int]:
    """Nano-USD by component for counters, which cannot go down: a discount is taken off the others in proportion. The
    parts are at least zero and add up to the cost to the nano-dollar, whatever it is made of."""
    total = max(cost.total or 0, 0)
    found = parts(cost.lines)
    gross = {part: amount for part, amount in found.items() if amount > 0}
    whole = sum(gross.values())
    if whole == total:
        return gross
    if not whole:
        return {"other": total} if total else {}
    taken = {part: amount * total // whole for part, amount in gross.items()}
    largest = max(gross, key=lambda part: gross[part])
    taken[largest] += total - sum(taken.values())
    return taken


def wasted(call: Call) -> int:
    """Nano-USD for attempts that did not answer; they are part of what the call cost."""
    answered = call.attempt
    return sum(attempt.cost.total or 0 for attempt in call.attempts if attempt is not answered)


def saved(call: Call) -> int:
    """Nano-USD that reading from the provider's cache spared, against the rate of uncached input; what it took to write
    the cache is not subtracted. 0 where the rate is not known."""
    spared = 0
    for attempt in call.attempts:
        rate = attempt.cost.input_rate
        if rate is not None:
            lines = (line for line in attempt.cost.lines if line.kind == "cache_read")
            spared += sum(max(rate * line.quantity // 1000 - line.amount, 0) for line in lines)
    return spared


def told(call: Call, wanted: tuple[str, ...]) -> Attributes:
    """The attributes of a call's cost: `tollbook.cost.*` always, and those of the profiles that the settings name."""
    cost = call.cost
    found: Attributes = {names.COST_STATUS: cost.status}
    if cost.total is None:
        return found
    usd = cost.total / 1e9
    found[names.COST_TOTAL] = usd
    if cost.version:
        found[names.COST_VERSION], found[names.COST_SOURCE] = cost.version, cost.source
    by_part = parts(cost.lines)
    found.update((names.COST_LINE + part, amount / 1e9) for part, amount in by_part.items())
    if lost := wasted(call):
        found[names.COST_WASTED] = lost / 1e9
    if spared := saved(call):
        found[names.COST_SAVED] = spared / 1e9
    for name in wanted:
        profile = PROFILES.get(name)
        found.update(profile(cost, by_part) if profile is not None else {name: usd})
    return found


def _semconv_443(cost: Cost, by_part: Mapping[str, int]) -> Attributes:  # noqa: ARG001 - a profile's signature
    return {
        "gen_ai.usage.cost.amount": (cost.total or 0) / 1e9,
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": "provider" if cost.source == "provider" else "local",
    }


def _openinference(cost: Cost, by_part: Mapping[str, int]) -> Attributes:
    """https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md"""
    inside = ("input", "cache_read", "cache_write")
    outside = ("output", "reasoning")
    found: Attributes = {
        "llm.cost.prompt": sum(by_part.get(part, 0) for part in inside) / 1e9,
        "llm.cost.completion": sum(by_part.get(part, 0) for part in outside) / 1e9,
        "llm.cost.total": (cost.total or 0) / 1e9,
    }
    details = (("prompt_details", inside), ("completion_details", outside))
    for group, components in details:
        found.update((f"llm.cost.{group}.{part}", by_part[part] / 1e9) for part in components if part in by_part)
    return found


def _langfuse(cost: Cost, by_part: Mapping[str, int]) -> Attributes:
    """https://langfuse.com/integrations/native/opentelemetry: what it reads first."""
    details = {**{part: amount / 1e9 for part, amount in by_part.items()}, "total": (cost.total or 0) / 1e9}
    return {"langfuse.observation.cost_details": encode(details).decode()}


PROFILES: Final[Mapping[str, Callable[[Cost, Mapping[str, int]], Attributes]]] = {
    "semconv_443": _semconv_443,
    "openinference": _openinference,
    "langfuse": _langfuse,
}
"""Names in `telemetry.cost_attributes` that stand for several attributes; any other name is one that holds the sum in USD."""
