"""Call -> measurements: what one finished call adds to the metrics. Pure, but for what `Labels` remembers.

Nothing is measured per chunk, and no label is a caller's word: a model is told by a name that the configuration or the price
catalogue knows, a team or key only within a bound, an error by a closed list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, get_args

from tollbook.call import Attempt, Call
from tollbook.config.types import MetricsLabel, MetricsSemconv
from tollbook.errors import Kind, UpstreamError

from . import costs, genai, names
from .instruments import Instruments
from .meter import OTHER, Measurement
from .spans import Served

MOST_MODELS = 200
"""Names that are known by the catalogue, or served through a wildcard of a known provider; configured ones come on top."""
MOST_OWNERS = 100
_REMEMBERED = 10_000

Known = Callable[[str, str], bool]
"""Whether a model of a provider (as the provider knows it) is in the price catalogue."""

ERRORS = frozenset(
    {
        *get_args(Kind),
        "client_disconnected",
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "rate_limit_error",
        "server_error",
    }
)
"""What `error.type` may be in a metric; anything else is `_OTHER`, as the conventions say."""
_UNNAMED_ERROR = "_OTHER"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

_KINDS = (
    ("input_uncached", ("input", "input_audio", "input_image")),
    ("cache_read", ("cache_read", "cache_read_audio")),
    ("cache_write", ("cache_write", "cache_write_1h")),
    ("output_visible", ("output", "output_audio", "output_image")),
    ("reasoning", ("reasoning",)),
)
"""Types of tokens that exclude each other: their sum is the total."""


_TEAM: tuple[MetricsLabel, ...] = ("team",)


class Labels:
    """Values of labels, bounded."""

    def __init__(
        self, *, models: Collection[str] = (), known: Known | None = None, owners: Collection[MetricsLabel] = _TEAM
    ) -> None:
        self.models = frozenset(models)
        """Public names and providers' names that the configuration spells out."""
        self._known = known
        self._told: dict[tuple[str, str], str] = {}
        self._listed: set[str] = set()
        self._seen: dict[str, set[str]] = {"team": set(), "key": set()}
        self.owners = frozenset(owners)

    def reconfigure(self, models: Collection[str]) -> None:
        """Another configuration spells out other names."""
        self.models = frozenset(models)
        self._told.clear()

    def model(self, provider: str, model: str) -> str:
        """The name, or `_other`."""
        if not model:
            return ""
        found = self._told.get((provider, model))
        if found is None:
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            found = self._told[provider, model] = self._name(provider, model)
        return found

    def _name(self, provider: str, model: str) -> str:
        if model in self.models or model in self._listed:
            return model
        bare = model.removeprefix(f"{provider}/")
        if len(self._listed) < MOST_MODELS and self._known is not None and self._known(provider, bare):
            self._listed.add(model)
            return model
        return OTHER

    def owner(self, kind: MetricsLabel, name: str | None) -> str:
        """A team or key; "" where there is none, or where it is not counted by."""
        if not name or kind not in self.owners:
            return ""
        seen = self._seen[kind]
        if name not in seen:
            if len(seen) >= MOST_OWNERS:
                return OTHER
            seen.add(name)
        return name


class Measures:
    """Measurements of calls and requests, with the names and labels that were chosen."""

    def __init__(self, labels: Labels, semconv: MetricsSemconv = "1.41") -> None:
        self.labels = labels
        self.instruments = Instruments.of(semconv)
        self._new = semconv == "latest"

    def of_request(self, served: Served) -> list[Measurement]:
        """One HTTP request."""
        method = served.method if served.method in _METHODS else _UNNAMED_ERROR
        status = str(served.status) if served.status else ""
        seconds = (served.ended - served.started) / 1e9
        return [(self.instruments.server_duration, (method, served.route, status), seconds)]

    def of_call(self, call: Call, route: str) -> list[Measurement]:
        """One finished call; `route` is the template of its path, "" without HTTP. Looks into the books count as requests
        of HTTP only: a dashboard that refreshes must not dilute the rate of failures."""
        if call.operation in names.LOOKS:
            return []
        kit, labels = self.instruments, self.labels
        who = (labels.owner("team", call.team), labels.owner("key", call.key_alias or call.key_id))
        route = route or call.operation
        found: list[Measurement] = [(kit.requests, (route, call.outcome or "failed", *who), 1)]
        if call.operation not in names.OPERATIONS or (call.outcome == "rejected" and not call.attempts):
            return found
        seconds = ((call.ended or call.started) - call.started) / 1e9
        if call.operation == "get":
            provider = genai.provider_name(call.provider) if call.provider else ""
            asked = (names.OPERATIONS["get"], provider, labels.model(call.provider or "", call.model), "")
            found.append((kit.duration, (*asked, error_of(call)), seconds))
            return found
        attempt = call.attempt
        found.append((kit.overhead, (route,), genai.overhead(call)))
        model = self._model(call, attempt)
        found.append((kit.duration, (*model, error_of(call)), seconds))
        for each in call.attempts:
            self._attempt(each, who, found)
        if attempt is not None:
            self._answer(call, attempt, model, found)
        return found

    def _model(self, call: Call, attempt: Attempt | None) -> tuple[str, str, str, str]:
        operation = names.OPERATIONS["create"]
        if attempt is None:
            return operation, "", self.labels.model("", call.model), ""
        provider = attempt.provider
        return (
            operation,
            genai.provider_name(provider),
            self.labels.model(provider, call.model),
            self.labels.model(provider, attempt.served_model or ""),
        )

    def _answer(self, call: Call, attempt: Attempt, model: tuple[str, str, str, str], found: list[Measurement]) -> None:
        kit, usage = self.instruments, attempt.usage
        if usage.source != "none":
            if self._new:
                found += (
                    (kit.input_tokens, model, usage.input_tokens),
                    (kit.output_tokens, model, usage.output_tokens),
                )
            else:
                found += (
                    (kit.token_usage, (*model, "input"), usage.input_tokens),
                    (kit.token_usage, (*model, "output"), usage.output_tokens),
                )
            hit, written = usage.cache_read + usage.cache_read_audio, usage.cache_write + usage.cache_write_1h
            found.append((kit.cache, ("hit" if hit else "write" if written else "miss",), 1))
        if call.stream and call.first_output:
            found.append((kit.first_chunk, model, (call.first_output - call.started) / 1e9))
            spoken = ((attempt.ended or call.first_output) - call.first_output) / 1e9
            if usage.source != "none" and usage.output_tokens > 1 and spoken > 0:
                place = (attempt.provider, self.labels.model(attempt.provider, attempt.model))
                found.append((kit.speed, place, (usage.output_tokens - 1) / spoken))
        total = call.cost.total
        if total is not None:
            found.append((kit.cost_histogram, model, total / 1e9))
        else:
            place = (attempt.provider, self.labels.model(attempt.provider, attempt.model))
            found.append((kit.unpriced, place, 1))
        spared = costs.saved(call)
        if spared:
            place = (attempt.provider, self.labels.model(attempt.provider, attempt.model))
            found.append((kit.saved, ("prompt_cache", *place), spared))

    def _attempt(self, attempt: Attempt, who: tuple[str, str], found: list[Measurement]) -> None:
        kit, usage = self.instruments, attempt.usage
        provider, model = attempt.provider, self.labels.model(attempt.provider, attempt.model)
        result = attempt.error_kind or _class(attempt.status_code) or attempt.outcome or "failed"
        found.append((kit.attempts, (provider, model, attempt.reason, result), 1))
        if usage.source != "none":
            for kind, parts in _KINDS:
                tokens = sum(getattr(usage, part) for part in parts)
                if tokens:
                    found.append((kit.tokens, (provider, model, kind), tokens))
        tier = (attempt.service_tier or "") if attempt.service_tier in _TIERS else OTHER if attempt.service_tier else ""
        for part, amount in costs.shares(attempt.cost).items():
            found.append((kit.cost, (provider, model, tier, *who, part), amount))


_TIERS = frozenset(
    {"default", "standard", "flex", "priority", "batch", "scale", "auto", "fast", "on_demand", "ON_DEMAND"}
)


def error_of(call: Call) -> str:
    """`error.type` of a call, of the closed list; "" for one that went well."""
    if isinstance(call.error, UpstreamError):
        return call.error.kind
    if call.error is not None:
        return call.error.type if call.error.type in ERRORS else _UNNAMED_ERROR
    return "client_disconnected" if call.outcome == "client_disconnected" else ""


def _class(status: Any) -> str:
    """2xx, 4xx …; "" where nobody answered."""
    return f"{status // 100}xx" if isinstance(status, int) and 100 <= status < 600 else ""
