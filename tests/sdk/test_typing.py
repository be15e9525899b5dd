"""The public surface is type-checked the way users use it."""

from __future__ import annotations

from pathlib import Path

import pytest

FILE = Path(__file__).with_name("typing_check.py")


@pytest.mark.slow
def test_what_users_write_has_the_types_they_expect() -> None:
    api = pytest.importorskip("mypy.api")

    said, _, status = api.run(["--config-file", str(FILE.parents[2] / "pyproject.toml"), str(FILE)])

    assert (said.strip().splitlines()[-1], status) == ("Success: no issues found in 1 source file", 0), said
