"""Prometheus's own tool reads its configuration and tries every alert."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from .programs import program

PROMETHEUS = Path(__file__).parents[2] / "deploy/prometheus"


def alerts() -> set[str]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"]}


@pytest.mark.backends
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "--lint-fatal", "prometheus.yml"),
        ("check", "rules", "--lint-fatal", "alerts.yml"),
        ("test", "rules", "alerts.test.yml", "money.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(command: tuple[str, ...]) -> None:
    said = subprocess.run([program("promtool"), *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)

    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_is_tried_where_it_should_fire() -> None:
    tests = [test for file in PROMETHEUS.glob("*.test.yml") for test in yaml.safe_load(file.read_text())["tests"]]
    tried = {each["alertname"] for test in tests for each in test.get("alert_rule_test", ()) if each["exp_alerts"]}

    assert tried == alerts()


def test_every_alert_says_what_happened_and_how_urgent_it_is() -> None:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
