"""`make run` as a newcomer has it: a fresh copy of the tree, an empty environment, one command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.running_up import closed, members, started
from tests.serving import free_port

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def copy_of_the_tree(target: Path) -> Path:
    """What a clone would hold if everything here were committed."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for orphans in /proc")
def test_make_run_in_a_fresh_copy_serves_the_printed_call_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    folder = copy_of_the_tree(tmp_path / "tollbook")
    # How to reach the package index is the machine's business, and so is its cache; nothing else is handed over.
    kept = ("PATH", "HOME", "LANG", "PIP_", "SSL_", "REQUESTS_", "HTTP", "http", "NO_PROXY", "no_proxy", "XDG_CACHE")
    environment = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    gateway, dashboard = free_port(), free_port()
    command = ["make", "run", f"PORT={gateway}", f"DASHBOARD_PORT={dashboard}"]

    with started(command, folder, environment, within=600) as run:
        told = subprocess.run(["bash", "-c", run.curl], capture_output=True, text=True, check=True).stdout
        assert json.loads(told)["status"] == "completed"
        assert not closed(dashboard)

        # make tells of the interrupt as shells do; 0 where it has nothing to tell.
        assert run.interrupt(within=40) in (0, 2, 130, -2)
    assert (closed(gateway), closed(dashboard)) == (True, True)
    assert members(run.process.pid) == []

    with started(command, folder, environment, within=60) as again:
        assert again.key == run.key, "the second start installs nothing and has the same key"
        again.interrupt(within=40)
    assert "Installing" not in again.output.read_text()
