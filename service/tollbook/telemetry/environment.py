"""What `OTEL_*` variables say, read once and told apart: where each signal goes, and how. Pure.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/. Without an endpoint a signal is off: nothing is sent towards
nowhere, and nothing is tried again. A variable that cannot be followed stops the start, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from tollbook.config import TelemetrySettings
from tollbook.errors import ConfigError

Signal = Literal["traces", "metrics", "logs"]
Protocol = Literal["http/protobuf", "grpc"]
Exemplars = Literal["trace_based", "always_on", "always_off"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)
_EXEMPLARS: tuple[Exemplars, ...] = get_args(Exemplars)

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
CONFIG_FILE = "OTEL_CONFIG_FILE"
ACCESS_LOG = "TOLLBOOK_ACCESS_LOG"

_BASE = "OTEL_EXPORTER_OTLP_"
_CAPTURE_WORDS = {
    "NO_CONTENT": "none",
    "SPAN_ONLY": "span",
    "EVENT_ONLY": "event",
    "SPAN_AND_EVENT": "span_and_event",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a signal goes. `headers` may hold secrets: whoever shows them uses `shown`."""

    signal: Signal
    protocol: Protocol
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0
    """Seconds for one request."""
    gzip: bool = True
    certificate: str = ""
    client_key: str = ""
    client_certificate: str = ""
    insecure: bool = False
    """gRPC without TLS."""

    @property
    def place(self) -> str:
        """The endpoint without what may be secret: user, password, query."""
        parts = urlsplit(self.endpoint)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    @property
    def shown(self) -> dict[str, str]:
        """For people: headers by name only."""
        names = ", ".join(f"{name}=***" for name in self.headers)
        return {
            "endpoint": self.place,
            "protocol": self.protocol,
            "headers": names or "none",
            "timeout": f"{self.timeout:g} s",
            "compression": "gzip" if self.gzip else "none",
            **({"certificate": self.certificate} if self.certificate else {}),
            **({"client certificate": self.client_certificate} if self.client_certificate else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How spans, or log records, are gathered. `delay` in seconds; `queue` in items, None leaves it to bytes."""

    delay: float = 1.0
    most: int = 512
    queue: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """OTEL_SPAN_*_LIMIT: of attributes, of a value's length, of events and links; None is none."""

    attributes: int | None = 128
    length: int | None = None
    events: int | None = 128
    links: int | None = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """All of it. A signal without a target and not on the console is off."""

    disabled: bool = False
    """Nothing at all: no spans, no trace ids."""
    ids: bool = True
    """Whether calls have trace ids; they do unless traces are switched off by name."""
    targets: Mapping[Signal, Target] = field(default_factory=dict)
    console: frozenset[Signal] = frozenset()
    spans: Batching = field(default_factory=Batching)
    limits: Limits = field(default_factory=Limits)
    records: Batching = field(default_factory=Batching)
    interval: float = 60.0
    """Seconds between two exports of metrics."""
    exemplars: Exemplars = "trace_based"
    capture: str = "none"
    access_log: bool = True
    file: str = ""
    """A declarative configuration, which then is the only source."""

    def on(self, signal: Signal) -> bool:
        return signal in self.targets or signal in self.console


def read(environment: Mapping[str, str], settings: TelemetrySettings) -> Environment:
    """What holds. Raises ConfigError naming the variable that cannot be followed."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    access_log = _flag(environment, ACCESS_LOG, settings.access_log)
    if disabled:
        return Environment(disabled=True, ids=False, access_log=access_log)
    file = environment.get(CONFIG_FILE, "").strip()
    capture = _capture(environment, settings)
    if file:
        return Environment(file=file, capture=capture, access_log=access_log)
    targets: dict[Signal, Target] = {}
    console: set[Signal] = set()
    ids = True
    for signal in SIGNALS:
        kinds = _exporters(environment, signal)
        if signal == "traces":
            ids = "none" not in kinds
        if "none" in kinds or not getattr(settings, signal):
            continue
        if "console" in kinds:
            console.add(signal)
        if "otlp" in kinds and (target := _target(environment, signal)) is not None:
            targets[signal] = target
    return Environment(
        ids=ids,
        targets=targets,
        console=frozenset(console),
        spans=_batching(environment, "OTEL_BSP_"),
        limits=_limits(environment),
        records=_batching(environment, "OTEL_BLRP_"),
        interval=_number(environment, "OTEL_METRIC_EXPORT_INTERVAL", 60_000.0) / 1000,
        exemplars=_exemplars(environment),
        capture=capture,
        access_log=access_log,
    )


def _exporters(environment: Mapping[str, str], signal: Signal) -> set[str]:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    known = {"otlp", "console", "none", *(("prometheus",) if signal == "metrics" else ())}
    given = {kind.strip().lower() for kind in environment.get(name, "").split(",") if kind.strip()} or {"otlp"}
    if unknown := given - known:
        raise ConfigError(f"{name}={', '.join(sorted(unknown))}: known are {', '.join(sorted(known))}.")
    return given


def _target(environment: Mapping[str, str], signal: Signal) -> Target | None:
    """By the signal's own variables, else by those of all signals; None without an endpoint."""

    def said(part: str) -> tuple[str, str]:
        for name in (f"{_BASE}{signal.upper()}_{part}", f"{_BASE}{part}"):
            if environment.get(name, "").strip():
                return name, environment[name].strip()
        return f"{_BASE}{part}", ""

    name, endpoint = said("ENDPOINT")
    if not endpoint:
        return None
    variable, protocol = said("PROTOCOL")
    protocol = protocol or "http/protobuf"
    if protocol not in ("http/protobuf", "grpc"):
        raise ConfigError(f"{variable}={protocol}: known are http/protobuf and grpc.")
    grpc = protocol == "grpc"
    if grpc and "://" not in endpoint:
        endpoint = f"{'http' if said('INSECURE')[1].lower() == 'true' else 'https'}://{endpoint}"
    try:
        parts = urlsplit(endpoint)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        right = False
    if not right:
        raise ConfigError(f"{name}: expected a URL such as http://localhost:{4317 if grpc else 4318}.")
    if not grpc and name == f"{_BASE}ENDPOINT":
        endpoint = f"{endpoint.rstrip('/')}/v1/{signal}"
    variable, compression = said("COMPRESSION")
    if compression.lower() not in ("", "gzip", "none"):
        raise ConfigError(f"{variable}={compression}: known are gzip and none.")
    variable, timeout = said("TIMEOUT")
    insecure = said("INSECURE")[1].lower()
    return Target(
        signal=signal,
        protocol="grpc" if grpc else "http/protobuf",
        endpoint=endpoint,
        headers=_headers(*said("HEADERS")),
        timeout=_positive(variable, timeout) if timeout else 10.0,
        gzip=compression.lower() != "none",
        certificate=said("CERTIFICATE")[1],
        client_key=said("CLIENT_KEY")[1],
        client_certificate=said("CLIENT_CERTIFICATE")[1],
        insecure=grpc and (parts.scheme == "http" if not insecure else insecure == "true"),
    )


def _headers(variable: str, text: str) -> dict[str, str]:
    """`name=value,name=value`, percent-encoded as in baggage. No message repeats a value: they are secrets."""
    found: dict[str, str] = {}
    for pair in text.split(","):
        if not pair.strip():
            continue
        name, equals, value = pair.partition("=")
        name, value = unquote(name).strip().lower(), unquote(value).strip()
        if not equals or not name or not name.isascii() or not (value.isascii() and value.isprintable()):
            raise ConfigError(f"{variable}: expected name=value, separated by commas.")
        found[name] = value
    return found


def _batching(environment: Mapping[str, str], prefix: str) -> Batching:
    queue = environment.get(f"{prefix}MAX_QUEUE_SIZE", "").strip()
    return Batching(
        delay=_number(environment, f"{prefix}SCHEDULE_DELAY", 1000.0) / 1000,
        most=int(_number(environment, f"{prefix}MAX_EXPORT_BATCH_SIZE", 512.0, least=1)),
        queue=int(_number(environment, f"{prefix}MAX_QUEUE_SIZE", 0.0, least=1)) if queue else None,
    )


def _limits(environment: Mapping[str, str]) -> Limits:
    """A span's own limit comes before the general one. A value's length has no limit unless one is set."""

    def limit(part: str, default: int | None) -> int | None:
        for name in (f"OTEL_SPAN_{part}", f"OTEL_{part}"):
            if environment.get(name, "").strip():
                return int(_number(environment, name, 0))
        return default

    return Limits(
        attributes=limit("ATTRIBUTE_COUNT_LIMIT", 128),
        length=limit("ATTRIBUTE_VALUE_LENGTH_LIMIT", None),
        events=limit("EVENT_COUNT_LIMIT", 128),
        links=limit("LINK_COUNT_LIMIT", 128),
    )


def _exemplars(environment: Mapping[str, str]) -> Exemplars:
    found = environment.get("OTEL_METRICS_EXEMPLAR_FILTER", "").strip().lower() or "trace_based"
    for known in _EXEMPLARS:
        if found == known:
            return known
    raise ConfigError(f"OTEL_METRICS_EXEMPLAR_FILTER={found}: known are trace_based, always_on and always_off.")


def _capture(environment: Mapping[str, str], settings: TelemetrySettings) -> str:
    """The file's own word first, unless it is the default: content that nobody asked for in the file may be asked for here."""
    if settings.capture_content != "none":
        return settings.capture_content
    word = environment.get(CAPTURE, "").strip().upper()
    if not word:
        return "none"
    if word not in _CAPTURE_WORDS:
        raise ConfigError(f"{CAPTURE}={word}: known are {', '.join(_CAPTURE_WORDS)}.")
    return _CAPTURE_WORDS[word]


def _flag(environment: Mapping[str, str], name: str, default: bool) -> bool:
    word = environment.get(name, "").strip().lower()
    if not word:
        return default
    if word not in ("true", "false"):
        raise ConfigError(f"{name}={word}: expected true or false.")
    return word == "true"


def _number(environment: Mapping[str, str], name: str, default: float, *, least: float = 0.0) -> float:
    text = environment.get(name, "").strip()
    if not text:
        return default
    number = _float(text)
    if not least <= number < inf:
        raise ConfigError(f"{name}={text}: a number from {least:g} was expected.")
    return number


def _positive(name: str, text: str) -> float:
    number = _float(text)
    if not 0 < number < inf:
        raise ConfigError(f"{name}={text}: a number of seconds, more than 0, was expected.")
    return number


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
