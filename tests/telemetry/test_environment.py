"""OTEL_* variables mean what OpenTelemetry says they mean, and one that cannot be followed is named."""

from __future__ import annotations

import pytest

from tollbook.config import TelemetrySettings
from tollbook.errors import ConfigError
from tollbook.telemetry import environment as env

OTLP = "OTEL_EXPORTER_OTLP_"
HERE = {f"{OTLP}ENDPOINT": "http://collector:4318"}


def read(environment: dict[str, str], **settings: object) -> env.Environment:
    return env.read(environment, TelemetrySettings(**settings))  # type: ignore[arg-type]


def test_without_an_endpoint_everything_is_off_but_trace_ids() -> None:
    found = read({})

    assert not any(found.on(signal) for signal in env.SIGNALS)
    assert found.ids


def test_the_endpoint_of_all_signals_gets_a_path_and_that_of_one_does_not() -> None:
    found = read({**HERE, f"{OTLP}TRACES_ENDPOINT": "https://traces.example/in"})

    assert {signal: target.endpoint for signal, target in found.targets.items()} == {
        "traces": "https://traces.example/in",
        "metrics": "http://collector:4318/v1/metrics",
        "logs": "http://collector:4318/v1/logs",
    }


def test_a_signals_own_variable_comes_before_the_general_one() -> None:
    found = read(
        {
            **HERE,
            f"{OTLP}HEADERS": "x-team=a%20b,authorization=Basic abc=",
            f"{OTLP}LOGS_HEADERS": "only=logs",
            f"{OTLP}TIMEOUT": "3",
            f"{OTLP}METRICS_TIMEOUT": "4",
            f"{OTLP}COMPRESSION": "none",
            f"{OTLP}TRACES_COMPRESSION": "gzip",
        }
    ).targets

    assert found["traces"].headers == {"x-team": "a b", "authorization": "Basic abc="}
    assert found["logs"].headers == {"only": "logs"}
    assert (found["traces"].timeout, found["metrics"].timeout) == (3, 4)
    assert (found["traces"].gzip, found["metrics"].gzip) == (True, False)


def test_grpc_keeps_the_endpoint_and_takes_tls_by_its_scheme() -> None:
    grpc = {f"{OTLP}PROTOCOL": "grpc"}

    assert read({**HERE, **grpc}).targets["traces"].insecure
    assert not read({f"{OTLP}ENDPOINT": "https://c:4317", **grpc}).targets["traces"].insecure
    bare = read({f"{OTLP}ENDPOINT": "c:4317", f"{OTLP}INSECURE": "true", **grpc}).targets["traces"]
    assert (bare.endpoint, bare.insecure) == ("http://c:4317", True)


@pytest.mark.parametrize("signal", env.SIGNALS)
def test_exporters_are_chosen_for_each_signal(signal: env.Signal) -> None:
    variable = f"OTEL_{signal.upper()}_EXPORTER"

    assert not read({**HERE, variable: "none"}).on(signal)
    assert read({variable: "console"}).console == {signal}
    both = read({**HERE, variable: "otlp, console"})
    assert signal in both.targets
    assert signal in both.console
    assert not read(HERE, **{signal: False}).on(signal)


def test_prometheus_alone_sends_no_metrics() -> None:
    assert not read({**HERE, "OTEL_METRICS_EXPORTER": "prometheus"}).on("metrics")


def test_a_disabled_sdk_makes_no_ids_and_keeps_the_access_log() -> None:
    found = read({**HERE, "OTEL_SDK_DISABLED": "TRUE"})

    assert (found.ids, found.targets, found.access_log) == (False, {}, True)


def test_batches_limits_and_intervals_are_followed() -> None:
    found = read(
        {
            **HERE,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "7",
            "OTEL_BSP_MAX_QUEUE_SIZE": "70",
            "OTEL_BLRP_SCHEDULE_DELAY": "300",
            "OTEL_METRIC_EXPORT_INTERVAL": "1500",
            "OTEL_ATTRIBUTE_COUNT_LIMIT": "40",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "30",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "100",
            "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
        }
    )

    assert found.spans == env.Batching(delay=0.2, most=7, queue=70)
    assert (found.records.delay, found.interval, found.exemplars) == (0.3, 1.5, "always_off")
    assert found.limits == env.Limits(attributes=30, length=100)


@pytest.mark.parametrize(
    ("word", "capture"),
    [("NO_CONTENT", "none"), ("span_only", "span"), ("EVENT_ONLY", "event"), ("SPAN_AND_EVENT", "span_and_event")],
)
def test_content_is_captured_by_the_conventions_own_words(word: str, capture: str) -> None:
    assert read({env.CAPTURE: word}).capture == capture
    assert read({}, capture_content="event").capture == "event"


def test_the_access_log_can_be_switched_by_file_and_by_environment() -> None:
    assert read({}).access_log
    assert not read({}, access_log=False).access_log
    assert read({"TOLLBOOK_ACCESS_LOG": "true"}, access_log=False).access_log


@pytest.mark.parametrize(
    "wrong",
    [
        {f"{OTLP}ENDPOINT": "collector"},
        {f"{OTLP}ENDPOINT": "http://"},
        {f"{OTLP}ENDPOINT": "http://c:99999"},
        {**HERE, f"{OTLP}PROTOCOL": "http/json"},
        {**HERE, f"{OTLP}COMPRESSION": "zstd"},
        {**HERE, f"{OTLP}TIMEOUT": "soon"},
        {**HERE, f"{OTLP}HEADERS": "secret"},
        {**HERE, f"{OTLP}HEADERS": "a=b\x01c"},
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_METRICS_EXEMPLAR_FILTER": "some"},
        {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "0"},
        {"OTEL_METRIC_EXPORT_INTERVAL": "-1"},
        {env.CAPTURE: "true"},
        {"TOLLBOOK_ACCESS_LOG": "perhaps"},
    ],
)
def test_what_cannot_be_followed_is_named_and_no_secret_is_repeated(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as told:
        read(wrong)

    assert any(name in told.value.message for name in wrong)
    assert "secret" not in told.value.message


def test_what_is_shown_to_people_holds_no_secret() -> None:
    target = read({f"{OTLP}ENDPOINT": "http://user:hidden@c:4318", f"{OTLP}HEADERS": "authorization=hidden"}).targets[
        "traces"
    ]

    assert "hidden" not in str(target.shown)
    assert "hidden" not in repr(target.headers and target.shown)
    assert target.shown["endpoint"] == "http://c:4318/v1/traces"
    assert target.shown["headers"] == "authorization=***"
