"""docs/keys.md and docs/budgets.md: what they tell to type works, one line after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tollbook.__main__ import main
from tollbook.access.shapes import NewKey

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["keys.md", "budgets.md"])
def test_every_command_of_the_page_works(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBOOK_DATA_DIR", str(tmp_path))
    lines = [
        line
        for block in re.findall(r"```bash\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
        for line in block.splitlines()
    ]

    assert len(lines) > 5
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "tollbook"
        assert main(arguments) == 0, line


def test_every_field_of_a_key_is_explained() -> None:
    page = (DOCS / "keys.md").read_text()

    assert [name for name in NewKey.__struct_fields__ if f"`{name}`" not in page] == []
