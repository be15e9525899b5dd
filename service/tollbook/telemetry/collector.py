"""Where OTLP goes: one request, one answer. Nothing here tries again; `outbox` does.

https://opentelemetry.io/docs/specs/otlp/ says which answers mean "later", and that a collector may take a part.
"""

from __future__ import annotations

import gzip
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from tollbook.errors import ConfigError
from tollbook.version import VERSION

from .environment import Signal, Target
from .otlp.wire import fields

if TYPE_CHECKING:
    import urllib3

USER_AGENT = f"Tollbook-OTLP/{VERSION}"

_LATER = frozenset({408, 429, 502, 503, 504})
_FAST = 1
"""gzip's level: spans resemble each other, and a better one costs ten times as much for a fifth less."""

_LONGEST_WAIT = 300.0


class Answer(NamedTuple):
    """What became of a request.

    `taken`: with `rejected` items less; `later`: try again, after `wait` seconds if the collector said so; `refused`: this
    request never, though parts of it may be taken; `closed`: nothing of this kind is taken there, whatever it holds.
    """

    state: Literal["taken", "later", "refused", "closed"]
    said: str
    """In a few words for people: "200", "503 Service Unavailable", "connection refused"."""
    rejected: int = 0
    wait: float | None = None


class Collector(Protocol):
    """Takes requests of one signal. Used by one thread."""

    def send(self, request: bytes) -> Answer: ...

    def close(self) -> None: ...


def collector(target: Target) -> Collector:
    """For a target. Raises ConfigError where what it needs is not installed, or a certificate cannot be read."""
    return GrpcCollector(target) if target.protocol == "grpc" else HttpCollector(target)


class HttpCollector:
    """OTLP over HTTP, as protobuf."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._headers = {"content-type": "application/x-protobuf", "user-agent": USER_AGENT, **target.headers}
        for path in (target.certificate, target.client_key, target.client_certificate):
            _readable(path)
        self._pool: urllib3.PoolManager | None = None

    def send(self, request: bytes) -> Answer:
        import urllib3

        if self._pool is None:
            self._pool = self._connect()
        headers = self._headers
        if self._target.gzip:
            headers = {**headers, "content-encoding": "gzip"}
            request = gzip.compress(request, _FAST)
        timeout = urllib3.Timeout(total=self._target.timeout)
        try:
            answer = self._pool.request("POST", self._target.endpoint, body=request, headers=headers, timeout=timeout)
        except urllib3.exceptions.HTTPError as failure:
            return Answer("later", _reason(failure))
        said = f"{answer.status} {answer.reason or ''}".strip()
        if answer.status // 100 == 2:
            rejected, why = partial_success(answer.data)
            return Answer("taken", f"{said}, {rejected} rejected: {why}" if rejected else said, rejected)
        if answer.status in _LATER:
            return Answer("later", said, wait=_retry_after(answer.headers.get("retry-after")))
        return Answer("refused" if answer.status in (400, 413, 422) else "closed", said)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.clear()

    def _connect(self) -> urllib3.PoolManager:
        import urllib3

        target = self._target
        settings: dict[str, Any] = {"retries": False, "num_pools": 1, "maxsize": 1}
        if target.certificate:
            settings["ca_certs"] = target.certificate
        if target.client_certificate:
            settings |= {"cert_file": target.client_certificate, "key_file": target.client_key or None}
        parts = urlsplit(target.endpoint)
        proxy = getproxies().get(parts.scheme)
        if proxy and parts.hostname and not proxy_bypass(parts.hostname):
            return urllib3.ProxyManager(proxy if "://" in proxy else f"http://{proxy}", **settings)
        return urllib3.PoolManager(**settings)


_SERVICES: dict[Signal, str] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


class GrpcCollector:
    """OTLP over gRPC: the same bytes."""

    def __init__(self, target: Target) -> None:
        try:
            import grpc  # type: ignore[import-untyped]  # it ships no types
        except ImportError:
            raise ConfigError("OTEL_EXPORTER_OTLP_PROTOCOL=grpc needs: pip install 'tollbook[grpc]'.") from None
        self._target = target
        self._metadata = tuple(target.headers.items())
        self._compression = grpc.Compression.Gzip if target.gzip else grpc.Compression.NoCompression
        if target.insecure:
            self._credentials = None
        else:
            roots, key, chain = map(_readable, (target.certificate, target.client_key, target.client_certificate))
            self._credentials = grpc.ssl_channel_credentials(roots, key, chain)
        self._channel: grpc.Channel | None = None
        self._export: Any = None

    def send(self, request: bytes) -> Answer:
        import grpc

        if self._channel is None:
            place = urlsplit(self._target.endpoint).netloc
            options = [("grpc.primary_user_agent", USER_AGENT), ("grpc.max_reconnect_backoff_ms", 10_000)]
            self._channel = (
                grpc.insecure_channel(place, options)
                if self._credentials is None
                else grpc.secure_channel(place, self._credentials, options)
            )
            self._export = self._channel.unary_unary(_SERVICES[self._target.signal])
        try:
            answer = self._export(
                request, timeout=self._target.timeout, metadata=self._metadata, compression=self._compression
            )
        except grpc.RpcError as failure:
            return _grpc_answer(failure)
        rejected, why = partial_success(answer)
        return Answer("taken", f"OK, {rejected} rejected: {why}" if rejected else "OK", rejected)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()


def _grpc_answer(failure: Any) -> Answer:
    """By https://opentelemetry.io/docs/specs/otlp/#failures; a message that is too large is refused, not busy."""
    from grpc import StatusCode

    code, detail = failure.code(), str(failure.details() or "").partition("\n")[0]
    said = f"{code.name}: {detail}" if detail else code.name
    if code is StatusCode.INVALID_ARGUMENT or (code is StatusCode.RESOURCE_EXHAUSTED and "larger than max" in detail):
        return Answer("refused", said)
    busy = (
        StatusCode.CANCELLED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.ABORTED,
        StatusCode.OUT_OF_RANGE,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    )
    return Answer("later" if code in busy else "closed", said)


def partial_success(answer: bytes) -> tuple[int, str]:
    """How many items the collector says it did not take, and why. The three signals' answers have one shape."""
    try:
        told = next((value for number, value in fields(answer) if number == 1), b"")
        parts = dict(fields(told)) if isinstance(told, bytes) else {}
    except ValueError:  # a proxy's words, or JSON; the status has said that it was taken
        return 0, ""
    rejected, why = parts.get(1, 0), parts.get(2, b"")
    words = why.decode("utf-8", "replace")[:200] if isinstance(why, bytes) else ""
    return rejected if isinstance(rejected, int) and rejected < _MOST_REJECTED else 0, words


_MOST_REJECTED = 2**31
"""A number below zero is a very large one on the wire."""


def _readable(path: str) -> bytes | None:
    """A file's content; None where no file is named. Raises ConfigError."""
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"OTEL_EXPORTER_OTLP_*: {path} cannot be read: {error.strerror}.") from None


def _retry_after(value: str | None) -> float | None:
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), _LONGEST_WAIT) if seconds == seconds else None  # noqa: PLR0124 - NaN


def _reason(failure: Exception) -> str:
    """An exception of the client library in a few words."""
    import urllib3.exceptions as kinds

    match failure:
        case kinds.NameResolutionError():
            return "the name cannot be resolved (DNS)"
        case kinds.SSLError():
            return f"TLS failed: {failure}"
        case kinds.NewConnectionError():
            return "connection refused" if "refused" in str(failure) else f"no connection: {failure}"
        case kinds.ConnectTimeoutError():
            return "no connection in time"
        case kinds.TimeoutError():
            return "no answer in time"
        case kinds.MaxRetryError() if failure.reason is not None:
            return _reason(failure.reason)
    return f"the connection broke: {type(failure).__name__}"
