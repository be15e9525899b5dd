"""The README does what it says: its blocks are run against what `make run` starts.

A block marked `skip` is not run (it installs, or serves until Ctrl-C); one marked `after` is run when the gateway has stopped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.running_up import Started, started
from tests.serving import environment, free_port
from tollbook.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "service/README.md",
    "docs/routes.md",
    "docs/keys.md",
    "docs/budgets.md",
    "docs/prices.md",
    ".github/CONTRIBUTING.md",
    "CHANGELOG.md",
]


class Block(NamedTuple):
    """A piece of code in a page."""

    language: str
    mark: str
    code: str
    line: int


def blocks() -> list[Block]:
    text = (ROOT / "README.md").read_text()
    found = re.finditer(r"^```(\w+) ?(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], match[3], text[: match.start()].count("\n") + 1) for match in found]


def marked(language: str, mark: str = "") -> list[Block]:
    return [block for block in blocks() if (block.language, block.mark) == (language, mark)]


class Stage(NamedTuple):
    """What a reader has in front of them: the running thing, and the shell they type into."""

    running: Started
    folder: Path
    port: int

    def type(self, block: Block) -> str:
        """What the block prints. Whatever it exports is there for the next one."""
        code = block.code.replace("127.0.0.1:4000", f"127.0.0.1:{self.port}")
        known = json.loads((self.folder / "exported.json").read_text())
        if block.language == "python":
            command = [sys.executable, "-c", code]
        else:
            after = f'{sys.executable} -c \'import json, os; json.dump(dict(os.environ), open("exported.json", "w"))\''
            command = ["bash", "-euo", "pipefail", "-c", f"{code}\n{after}"]
        done = subprocess.run(command, cwd=self.folder, env=known, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"README.md:{block.line}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder, port = tmp_path_factory.mktemp("reader"), free_port()
    clean = environment()
    (folder / "exported.json").write_text(json.dumps(clean))
    command = [sys.executable, "-m", "tollbook", "up", "--port", str(port), "--dashboard-port", str(free_port())]
    with started(command, folder, clean, within=60) as running:
        yield Stage(running, folder, port)


def test_every_block_does_what_it_says(stage: Stage) -> None:
    """One after the other, as they are read; and in the end the books, for which the gateway has to stop."""
    export, curl, last_call = marked("bash")
    client, _ = marked("python")
    (notebook,) = marked("python", "after")
    stage.type(export)

    assert "You said: Hello!" in stage.type(curl)
    spoken = stage.type(client)
    assert "Who is Michael Jordan?" in spoken
    assert "Before it I saw 2 messages, the first was: Who is Michael Jordan?" in spoken
    assert "Once upon a time" in spoken
    (told,) = json.loads(stage.type(last_call))["data"]
    assert (told["model"], told["key_alias"], told["cost"]["status"]) == ("simulated/story", "local", "priced")

    assert stage.running.interrupt(within=30) == 0
    table = stage.type(notebook)
    assert "simulated/echo" in table
    assert "simulated/story" in table


def test_the_library_needs_no_server(tmp_path: Path) -> None:
    _, sdk = marked("python")
    done = subprocess.run(
        [sys.executable, "-c", sdk.code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "You said: Hello!" in done.stdout


def test_the_configuration_loads_without_a_warning(tmp_path: Path) -> None:
    (block,) = marked("yaml")
    (tmp_path / "config.yaml").write_text(block.code)
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "TOLLBOOK_MASTER_KEY"), "sk-example")
    config = load_config(tmp_path / "config.yaml", keys)

    assert config.names == ("gpt", "claude")
    assert not config.warnings


def test_what_is_not_run_is_only_what_installs_or_serves() -> None:
    skipped = "".join(block.code for block in marked("bash", "skip"))

    assert len(marked("bash", "skip")) == 3
    assert {"make run", "tollbook check"} <= set(re.findall(r"make run|tollbook check", skipped))
    assert {block.mark for block in blocks()} == {"", "skip", "after"}


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text())}

    assert named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())

    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_what_continuous_integration_calls_is_the_readme_s_command() -> None:
    script = ROOT / ".ci" / "run"

    assert "\nmake test\n" in script.read_text()
    assert "`make test`" in (ROOT / "README.md").read_text()
    assert os.access(script, os.X_OK)
