"""What a configuration is, once it has been read: frozen, checked, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from .budgets import Budget, Limit
from .price_list import NO_TERMS, PriceEntry, Terms

Strategy = Literal[
    "simple-shuffle",  # by weight, else by rpm, else by tpm, else evenly
    "least-busy",  # the fewest calls in flight
    "latency-based-routing",  # the quickest of late
    "usage-based-routing",  # the most room left under its tpm and rpm
    "cost-based-routing",  # the cheapest
]

PreCallCheck = Literal[
    "responses_api_deployment_check",  # a follow-up goes to the deployment that made its parent
    "deployment_affinity",  # one key stays with one deployment
    "session_affinity",  # one conversation stays with one deployment
    "encrypted_content_affinity",  # sealed reasoning goes back to the deployment that sealed it
]

CaptureContent = Literal["none", "span", "event", "span_and_event"]
OnDisconnect = Literal[
    "cancel",  # the upstream is hung up on; what it used is estimated where it was not told
    "drain",  # the answer is read to its end without the client, and is there to be fetched
]
TrustRemoteContext = Literal["parent", "link", "ignore"]
CacheWriteNames = Literal["new", "old", "both"]
InferenceSpan = Literal["full", "no_usage", "off"]
MetricsSemconv = Literal["1.41", "latest"]
MetricsLabel = Literal["team", "key"]

MAX_NAME = 256
"""Characters of a public model name."""

DEFAULT_DATA_DIR = Path("tollbook-data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. `connect`: until connected; `first_event`: until the first output; `idle`: between two events;
    `total`: the whole attempt. Defaults fit reasoning models, which can be silent for minutes."""

    connect: float = 5.0
    first_event: float = 600.0
    idle: float = 300.0
    total: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One place for one model. `options` holds what only its provider understands (aws_*, vertex_*, azure_ad_token ...)."""

    id: str
    name: str
    """The public model name it serves (`model_name`)."""
    provider: str
    """"*" where the request's own prefix names it (`model: "*"`); `Config.route` fills it in."""
    model: str
    """The model as the provider knows it, without the provider's prefix."""
    api_key: str | None = field(default=None, repr=False)
    api_base: str | None = None
    api_version: str | None = None
    organization: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    extra_query: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Request parameters to use where the client gave none, by their Responses names."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    weight: float | None = None
    order: int = 0
    rpm: int | None = None
    tpm: int | None = None
    max_parallel_requests: int | None = None
    max_retries: int | None = None
    """Tries again at this place; None leaves it to the router's `num_retries`."""
    hedge_after: float | None = None
    """Seconds without a first output after which another deployment is asked, too; None never does."""
    on_disconnect: OnDisconnect = "cancel"
    """What becomes of an answer when its client hangs up."""
    tags: tuple[str, ...] = ()
    drop_params: bool = False
    use_chat_completions_api: bool = False
    base_model: str | None = None
    """The model to price by, where the deployment's name says nothing (Azure)."""
    prices: Mapping[str, Any] = field(default_factory=dict)
    """Custom prices: `input_cost_per_token` and the like, in USD."""
    terms: Terms = NO_TERMS
    """What is agreed about its prices: uplift, discount, margin."""
    propagate_trace: bool = False
    allow_private_addresses: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A public model name: where it may be served, how to choose, and which names come next when all of these fail."""

    name: str
    deployments: tuple[Deployment, ...]
    strategy: Strategy = "simple-shuffle"
    fallbacks: tuple[str, ...] = ()
    context_window_fallbacks: tuple[str, ...] = ()
    """Instead of `fallbacks` when the input does not fit."""
    content_policy_fallbacks: tuple[str, ...] = ()
    """Instead of `fallbacks` when the provider's policy refuses the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralSettings:
    """`general_settings`: who may come in, what is kept and for how long."""

    master_key: str | None = field(default=None, repr=False)
    store_prompts_in_spend_logs: bool = True
    """Whether requests and answers are kept, so that `previous_response_id` works everywhere. The money rows always are."""
    retention_days: float | None = None
    """Age at which requests and answers are removed; None keeps them. The rows of calls are kept."""
    end_user_header: str | None = None
    """Lower case. The request header that names the end user, before `safety_identifier` and `user` of the body."""
    max_request_size_mb: float = 20.0
    drop_params: bool = False
    budget_output_tokens: int = 16_384
    """Output tokens that a call is expected to have at the most, where it does not say `max_output_tokens`."""

    @property
    def max_request_bytes(self) -> int:
        """Bodies beyond it are answered with 413."""
        return int(self.max_request_size_mb * 1024 * 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """`router_settings`: choosing, trying again, falling back, cooling down. Times in seconds."""

    routing_strategy: Strategy = "simple-shuffle"
    num_retries: int = 2
    retry_after: float = 0.0
    """The least wait before a retry."""
    timeout: float | None = None
    stream_timeout: float | None = None
    allowed_fails: int = 3
    """Failures within a minute after which a deployment is left alone for `cooldown_time`."""
    cooldown_time: float = 5.0
    disable_cooldowns: bool = False
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_fallbacks: tuple[str, ...] = ()
    context_window_fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    content_policy_fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    max_fallbacks: int = 5
    optional_pre_call_checks: tuple[PreCallCheck, ...] = ()
    model_group_alias: Mapping[str, str] = field(default_factory=dict)
    """Other names for public models."""
    hidden_aliases: frozenset[str] = frozenset()
    """Those of them that the list of models leaves out."""
    latency_buffer: float = 0.1
    """latency-based-routing: deployments this much slower than the quickest (0.1: by a tenth) share with it."""
    latency_lifetime: float = 60.0
    """latency-based-routing: a latency older than this is forgotten, so that the slow are tried again."""
    hedge_after: float | None = None
    """The default of every deployment's `hedge_after`."""
    on_disconnect: OnDisconnect = "cancel"
    """The default of every deployment's `on_disconnect`."""
    enable_mid_stream_fallback_continuation: bool = False
    """Whether another deployment continues a stream that broke off after its first output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """`telemetry`: what traces, metrics and logs say. Where they go is said by the standard `OTEL_*` variables."""

    service_name: str | None = None
    """None leaves it to OTEL_SERVICE_NAME, else "tollbook"."""
    traces: bool = True
    metrics: bool = True
    """Whether metrics are sent; `/metrics` is there in any case."""
    logs: bool = True
    access_log: bool = True
    """Whether every call is told in a line of JSON on stdout."""
    metrics_public: bool = False
    """Whether `/metrics` is for everybody who can reach the gateway, instead of the master key."""
    metrics_semconv: MetricsSemconv = "1.41"
    metrics_labels: tuple[MetricsLabel, ...] = ("team",)
    """By whom counters of calls and cost are told apart."""
    cost_attributes: tuple[str, ...] = ("gen_ai.usage.cost",)
    """Further names, or profiles of names, under which a span carries its cost in USD."""
    cache_write_names: CacheWriteNames = "both"
    inference_span: InferenceSpan = "full"
    """`no_usage` where callers' own spans count tokens in the same trace."""
    tags: tuple[str, ...] = ()
    """Names of `name=value` tags that spans may tell; none named tells the first eight tags."""
    capture_content: CaptureContent = "none"
    """Whether traces or log records hold prompts and answers."""
    trust_remote_context: TrustRemoteContext = "parent"
    """A caller's `traceparent` becomes our parent, a link, or nothing."""
    send_baggage: bool = False
    """Whether the caller's baggage goes to the deployments that get the trace context."""
    queue_mb: float = 64.0
    """Megabytes that a signal may keep while its collector does not take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a gateway needs to know."""

    routes: Mapping[str, Route]
    """By public name, as listed: a name may hold one "*", and fallbacks are not filled in. Ask `route` for one to use."""
    deployments: Mapping[str, Deployment]
    """By id, in the order of the file."""
    general: GeneralSettings = field(default_factory=GeneralSettings)
    router: RouterSettings = field(default_factory=RouterSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()
    prices: tuple[PriceEntry, ...] = ()
    """The operator's own price list, in the order of the file."""
    data_dir: Path = DEFAULT_DATA_DIR
    source: Path | None = None
    warnings: tuple[str, ...] = ()
    """Settings that were understood and are not used, one sentence each."""

    @property
    def names(self) -> tuple[str, ...]:
        """The public names, aliases included, as the list of models shows them."""
        shown = (alias for alias in self.router.model_group_alias if alias not in self.router.hidden_aliases)
        return tuple(dict.fromkeys((*self.routes, *shown)))

    def route(self, name: str) -> Route | None:
        """The route for a model that a client asks for: by name, by alias, else by the wildcard with the most letters.

        What the "*" stood for is filled into the deployments' models, so the answer never holds a wildcard.
        """
        if len(name) > MAX_NAME:
            return None
        name = self.router.model_group_alias.get(name, name)
        pattern = name if name in self.routes and "*" not in name else self._wildcard(name)
        if pattern is None:
            return None
        route = self.routes[pattern]
        star = _star(pattern, name) or ""
        return replace(
            route,
            name=name,
            deployments=tuple(_at(deployment, name, star) for deployment in route.deployments),
            fallbacks=self._next(self.router.fallbacks, name, pattern) or self._others(name),
            context_window_fallbacks=self._next(self.router.context_window_fallbacks, name, pattern),
            content_policy_fallbacks=self._next(self.router.content_policy_fallbacks, name, pattern),
        )

    def _others(self, name: str) -> tuple[str, ...]:
        return tuple(target for target in self.router.default_fallbacks if target != name)

    def _wildcard(self, name: str) -> str | None:
        fitting = [pattern for pattern in self.routes if _star(pattern, name) is not None]
        return max(fitting, key=len, default=None)

    @staticmethod
    def _next(fallbacks: Mapping[str, tuple[str, ...]], name: str, pattern: str) -> tuple[str, ...]:
        for key in (name, pattern, "*"):
            if key in fallbacks:
                return tuple(target for target in fallbacks[key] if target != name)
        return ()


def _star(pattern: str, name: str) -> str | None:
    """What the "*" of `pattern` stands for in `name`: ("openai/*", "openai/o1") -> "o1". None when it does not fit."""
    before, star, after = pattern.partition("*")
    if not star or len(name) <= len(before) + len(after):
        return None
    if not (name.startswith(before) and name.endswith(after)):
        return None
    return name[len(before) : len(name) - len(after)]


def _at(deployment: Deployment, name: str, star: str) -> Deployment:
    """The deployment for one name of its wildcard."""
    if "*" not in (deployment.provider + deployment.model):
        return deployment if deployment.name == name else replace(deployment, name=name)
    if deployment.provider == "*":
        provider, model = split_model(star)
    else:
        provider, model = deployment.provider, deployment.model.replace("*", star)
    return replace(deployment, name=name, provider=provider, model=model)


# Bare names that say whose model they are. Anything else has to name its provider.
_FAMILIES: Mapping[str, str] = {
    "gpt-": "openai",
    "chatgpt-": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "codex-": "openai",
    "computer-use-": "openai",
    "claude-": "anthropic",
    "gemini-": "gemini",
}


def split_model(model: str) -> tuple[str, str]:
    """("openai/gpt-4o") -> ("openai", "gpt-4o"). A bare name goes by its family; unknown families give ("", model)."""
    provider, slash, rest = model.partition("/")
    if slash and provider and rest:
        return provider, rest
    for family, provider in _FAMILIES.items():
        if model.startswith(family):
            return provider, model
    return "", model
