"""tollbook doctor: what is wrong is said in a line, and the exit code says that something is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.receiver import Collector
from tests.server.running import running
from tests.serving import environment


def doctor(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tollbook", "doctor", "--data-dir", str(folder / "books"), *arguments]
    done = subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, timeout=60, cwd=folder, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def test_a_test_of_each_signal_arrives(tmp_path: Path) -> None:
    with Collector() as collector:
        url = collector.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
        code, told = doctor(
            tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer hidden"
        )

    assert code == 0, told
    assert told.count("the test arrived: 200 OK") == 3
    assert "hidden" not in told
    assert "authorization=***" in told
    (span,) = collector.spans
    assert span.name == "tollbook doctor"
    assert span.trace_id in told
    assert [record.name for record in collector.records] == ["tollbook.doctor"]
    assert set(collector.metrics) == {"tollbook.doctor.tests"}


@pytest.mark.parametrize(
    ("mood", "expected"),
    [("absent", "the test did not arrive: connection refused"), ("refuses", "the test did not arrive: 503")],
)
def test_a_collector_that_takes_nothing_is_wrong(tmp_path: Path, mood: str, expected: str) -> None:
    with Collector(mood="refuses") as collector:
        url = collector.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
        found = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url) if mood == "refuses" else None
    code, told = found or doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)

    assert code == 1
    assert told.count(expected) == 3


def test_what_the_environment_says_wrongly_is_named(tmp_path: Path) -> None:
    code, told = doctor(tmp_path, OTEL_TRACES_EXPORTER="zipkin")

    assert code == 1
    assert "WRONG  telemetry   OTEL_TRACES_EXPORTER=zipkin" in told


def test_without_an_endpoint_nothing_is_sent_and_nothing_is_wrong(tmp_path: Path) -> None:
    code, told = doctor(tmp_path)

    assert code == 0
    assert "sent nowhere: set OTEL_EXPORTER_OTLP_ENDPOINT" in told
    assert "books" in told
    assert "All right." in told


def test_offline_it_tells_and_sends_nothing(tmp_path: Path) -> None:
    code, told = doctor(tmp_path, "--offline", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")

    assert code == 0
    assert "http://127.0.0.1:9/v1/traces" in told


def test_a_wrong_configuration_a_missing_price_and_a_folder_that_is_a_file_are_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("model_lst: []\n")
    unpriced = tmp_path / "unpriced.yaml"
    unpriced.write_text(
        "model_list: [{model_name: mine, litellm_params: {model: openai_like/x, api_base: http://x/v1}}]\n"
    )

    assert doctor(tmp_path, "--config", str(wrong))[0] == 1
    code, told = doctor(tmp_path, "--config", str(unpriced))
    assert code == 0
    assert "mine has no price" in told
    (tmp_path / "books").write_text("a file")
    code, told = doctor(tmp_path)
    assert code == 1
    assert "is no directory" in told


def test_a_gateway_that_runs_is_no_mistake(tmp_path: Path) -> None:
    with running(tmp_path, key=None) as gateway:
        done = gateway.run("doctor", "--data-dir", str(gateway.data))

    assert done.returncode == 0
    assert "a gateway runs on it (process " in done.stdout
