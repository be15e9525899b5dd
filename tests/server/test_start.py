"""From the command to the first answer, and what the command line says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .asking import ask
from .running import Gateway


def test_the_first_request_is_served_soon_after_the_start(tmp_path: Path) -> None:
    """Under 3 s on a quiet machine; on a busy one what counts is what it had to do."""
    gateway = Gateway(tmp_path, key=None).start()
    try:
        with gateway.client() as http:
            assert ask(http, "simulated/echo").status_code == 200
        assert gateway.process is not None
        ticks = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    finally:
        gateway.stop()

    assert sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") < 3


def test_without_any_key_of_a_provider_the_simulated_one_is_served(tmp_path: Path) -> None:
    checked = Gateway(tmp_path, key=None).run("check")

    assert checked.returncode == 0
    assert "simulated/" in checked.stdout


def test_help_shows_how_to_begin(tmp_path: Path) -> None:
    told = Gateway(tmp_path, key=None).run("--help")

    assert told.returncode == 0
    assert "tollbook --config config.yaml" in told.stdout


def test_check_names_what_is_wrong_with_file_line_and_path(tmp_path: Path) -> None:
    config = {"model_list": [{"model_name": "a", "litellm_params": {"model": "openai/x", "api_kye": "sk"}}]}
    gateway = Gateway(tmp_path, json.dumps(config, indent=1), key=None)

    checked = gateway.run("check", "--config", "config.yaml")
    started = gateway.run("--config", "config.yaml", "--port", "0")

    for told in (checked, started):
        assert told.returncode != 0
        assert "config.yaml:7" in told.stderr + told.stdout
        assert "api_key" in told.stderr + told.stdout


def test_a_port_that_is_taken_is_said(tmp_path: Path, gateway: Gateway) -> None:
    second = Gateway(tmp_path, key=None)

    told = second.run("--port", str(gateway.port), "--data-dir", str(tmp_path / "data"))

    assert told.returncode != 0
    assert "address already in use" in told.stderr
    assert "Traceback" not in told.stderr


def test_one_data_directory_belongs_to_one_gateway(gateway: Gateway) -> None:
    told = gateway.run("--port", "0", "--data-dir", str(gateway.data))

    assert told.returncode != 0
    assert "Traceback" not in told.stderr
    assert str(gateway.data) in told.stderr


@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan"])
def test_a_keep_alive_that_is_no_time_stops_the_start(tmp_path: Path, value: str) -> None:
    gateway = Gateway(tmp_path, key=None, environment={"TOLLBOOK_KEEP_ALIVE": value})

    told = gateway.run("--port", "0", "--data-dir", str(tmp_path / "data"))

    assert told.returncode == 1
    assert f"TOLLBOOK_KEEP_ALIVE={value}" in told.stderr


def test_a_collector_that_cannot_be_is_said(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, key=None, environment={"OTEL_TRACES_EXPORTER": "pigeon"})

    told = gateway.run("--port", "0", "--data-dir", str(tmp_path / "data"))

    assert told.returncode == 1
    assert "OTEL_TRACES_EXPORTER=pigeon" in told.stderr
    assert "Traceback" not in told.stderr
