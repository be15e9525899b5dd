"""docs/reports.md does what it says: its commands and its notebook are run over a small ledger."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.analytics.books import books, by_chance
from tests.serving import environment
from tollbook_analytics.reports import REPORTS

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    code: str = found
    return code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "books").mkdir()
    rows = by_chance(3, 200, start=datetime(2026, 11, 1, tzinfo=UTC))
    books(rows).collect().write_parquet(tmp_path / "books" / "2026-11.parquet")
    return tmp_path


def test_the_notebook_runs(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block("python")],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "cost_nano" in done.stdout


def test_every_command_runs(folder: Path) -> None:
    commands = block("bash").splitlines()
    code = "import sys; from tollbook.__main__ import main; sys.exit(sum(main(each.split()[1:]) for each in sys.stdin))"
    asked = "\n".join(f"{each} --source books" for each in commands)
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=asked,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert len(commands) == 6
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (folder / "month-end.parquet").exists()


def test_the_page_lists_every_report() -> None:
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE))

    assert listed == {name: report.summary for name, report in REPORTS.items()}
