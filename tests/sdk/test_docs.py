"""docs/sdk.md: every Python block runs, and every public name and keyword is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tollbook
from tollbook import Router

PAGE = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text()


@pytest.mark.parametrize(
    "block", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL), ids=lambda block: block.split("\n")[2]
)
def test_the_code_runs(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    exec(block, names)

    assert capsys.readouterr().out or "assert" in block


def test_every_function_is_named() -> None:
    functions = [name for name in tollbook.__all__ if name.islower()]

    assert len(functions) == 10
    for name in functions:
        assert f"`{name}" in PAGE
        assert getattr(Router, name)
