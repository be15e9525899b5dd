"""The dashboards' files: what Grafana is given is what deploy/grafana/generate.py makes, and it fits together."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tollbook_deploy_grafana", GRAFANA / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def panels(file: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(file.read_text())["panels"] if panel["type"] != "row"]


def sources() -> list[dict[str, Any]]:
    told: dict[str, Any] = yaml.safe_load((GRAFANA / "provisioning/datasources/tollbook.yaml").read_text())
    found: list[dict[str, Any]] = told["datasources"]
    return found


def test_the_files_are_what_the_generator_makes() -> None:
    """If this fails: python deploy/grafana/generate.py"""
    made = generator()

    assert {file.name: file.read_text() for file in FILES} == {
        f"{board.uid}.json": made.rendered(board) for board in made.BOARDS
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_lie_side_by_side_and_under_each_other(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(file.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert cells.isdisjoint(taken), panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_asks_the_chosen_source_and_has_a_unit(file: Path) -> None:
    board = json.loads(file.read_text())
    chosen = next(variable for variable in board["templating"]["list"] if variable["type"] == "datasource")

    for panel in panels(file):
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{chosen['name']}}}"}, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
    assert len({panel["title"] + str(panel["gridPos"]) for panel in panels(file)}) == len(panels(file))


def test_a_point_of_a_chart_leads_to_its_trace_and_a_trace_to_its_charts() -> None:
    by_uid = {source["uid"]: source for source in sources()}
    exemplar, in_jaeger = by_uid["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]

    assert by_uid[exemplar["datasourceUid"]]["type"] == "jaeger"
    assert exemplar["name"] == "trace_id"
    assert in_jaeger["url"].endswith("/trace/$${__value.raw}")
    assert by_uid["jaeger"]["jsonData"]["tracesToMetrics"]["datasourceUid"] == "prometheus"
    shown = [panel for file in FILES for panel in panels(file) if any(t.get("exemplar") for t in panel["targets"])]
    assert {panel["title"] for panel in shown} == {"Cost of a call", "Duration", "Until the first output"}
