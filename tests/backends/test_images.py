"""What the Dockerfiles install, installed: the same command in an environment of its own. (No Docker engine is needed.)"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import environment, served

ROOT = Path(__file__).parents[2]
DASHBOARDS = {"streamlit", "altair", "pandas", "polars", "pyarrow", "numpy"}

pytestmark = pytest.mark.slow


def installed_as_in(dockerfile: str, place: Path, *options: str) -> Path:
    """Runs the RUN lines of the build stage, with `place` for the image's folders; the environment's Python. `options`
    are added to pip's."""
    source, opt = place / "source", place / "opt"
    source.mkdir(parents=True)
    text = (ROOT / dockerfile).read_text().partition("\nFROM python:${PYTHON}\n")[0]
    for names in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for name in names.split():
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, source / name)
    steps = re.findall(r"^RUN (.+)$", text, re.MULTILINE)
    assert [step.split()[0] for step in steps] == ["python", "pip"]
    for step in steps:
        tool, _, rest = step.replace("/opt/tollbook", str(opt)).partition(" ")
        here = (
            f"{sys.executable} {rest}"
            if tool == "python"
            else f"{sys.executable} -m pip --quiet {rest} {' '.join(options)}"
        )
        made = subprocess.run(
            here, shell=True, cwd=source, env=environment(), capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr[-4000:]
    return opt / "bin/python"


def packages(python: Path) -> set[str]:
    command = [sys.executable, "-m", "pip", "--python", str(python), "list", "--format", "json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {each["name"].lower().replace("_", "-") for each in json.loads(told)}


def test_the_gateways_image_serves_and_has_nothing_of_the_dashboards(tmp_path: Path) -> None:
    python = installed_as_in("deploy/gateway.Dockerfile", tmp_path)
    found = packages(python)

    assert found & DASHBOARDS == set()
    assert {"tollbook", "litestar", "duckdb", "grpcio"} <= found
    assert "pip" not in found
    with served(tmp_path / "run", python=str(python)) as url:
        health = re.search(r'CMD \["python", "-c", "(.+)"\]', (ROOT / "deploy/gateway.Dockerfile").read_text())
        assert health is not None
        asked = health[1].replace("http://127.0.0.1:4000", url)
        assert subprocess.run([python, "-c", asked], check=False).returncode == 0
        refused = health[1].replace("http://127.0.0.1:4000", "http://127.0.0.1:1")
        assert subprocess.run([python, "-c", refused], capture_output=True, check=False).returncode == 1


def test_the_dashboards_image_would_have_its_pages(tmp_path: Path) -> None:
    """Only resolved, not installed: that is what `make run` does, which is tested."""
    installed_as_in("deploy/dashboard.Dockerfile", tmp_path, "--dry-run", "--report", str(tmp_path / "report.json"))
    told = json.loads((tmp_path / "report.json").read_text())["install"]

    assert {"tollbook", "streamlit", "polars", "altair"} <= {each["metadata"]["name"].lower() for each in told}
