"""`tollbook up`: both start, the printed call works, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.running_up import closed, members, started
from tests.serving import environment, free_port
from tollbook.access.keys import Keys
from tollbook.commands.up import ALIAS, KEY_FILE, local_key
from tollbook.errors import Conflict
from tollbook.storage.keys import KeyTable

TOLLBOOK = [sys.executable, "-m", "tollbook"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for orphans in /proc")
def test_both_start_the_printed_call_works_and_ctrl_c_stops_both(tmp_path: Path) -> None:
    gateway, dashboard = free_port(), free_port()
    command = [*TOLLBOOK, "up", "--port", str(gateway), "--dashboard-port", str(dashboard)]
    with started(command, tmp_path, environment(), within=60) as up:
        told = subprocess.run(["bash", "-c", up.curl], capture_output=True, text=True, check=True).stdout
        asked = [*TOLLBOOK, "keys", "list"]
        listed = subprocess.run(asked, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)

        assert json.loads(told)["output"][0]["content"][0]["text"].startswith("You said: Hello!")
        assert f"http://127.0.0.1:{dashboard}" in up.output.read_text()
        assert not closed(dashboard)
        assert up.key.endswith(listed.stdout.split("…")[1].split()[0])

        assert up.interrupt(within=30) == 0
    assert (closed(gateway), closed(dashboard)) == (True, True)
    assert members(up.process.pid) == []
    assert "Traceback" not in up.output.read_text()


def test_sigterm_stops_both_as_ctrl_c_does(tmp_path: Path) -> None:
    gateway, dashboard = free_port(), free_port()
    command = [*TOLLBOOK, "up", "--port", str(gateway), "--dashboard-port", str(dashboard)]
    with started(command, tmp_path, environment(), within=60) as up:
        up.process.send_signal(signal.SIGTERM)

        assert up.process.wait(30) == 0
    assert (closed(gateway), closed(dashboard)) == (True, True)


def test_a_port_that_somebody_has_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*TOLLBOOK, "up", "--port", str(port)]
        ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert f"port {port}" in ended.stderr
    assert "--port" in ended.stderr
    assert list(tmp_path.iterdir()) == []


# ── The key ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def aliases(folder: Path) -> list[str]:
    with closing(KeyTable(folder)) as table:
        return [key.alias for key in Keys(table).list()]


def test_the_key_is_the_same_at_every_start_and_private(tmp_path: Path) -> None:
    first = local_key(tmp_path)

    assert local_key(tmp_path) == first
    assert aliases(tmp_path) == [ALIAS]
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("harm", ["lost", "garbled", "revoked", "readable"])
def test_a_key_that_does_not_work_any_more_is_replaced(tmp_path: Path, harm: str) -> None:
    first, file = local_key(tmp_path), tmp_path / KEY_FILE
    match harm:
        case "lost":
            file.unlink()
        case "garbled":
            file.write_text("sk-not-ours\n")
        case "readable":
            file.write_text("")
            file.chmod(0o644)
        case _:
            with closing(KeyTable(tmp_path)) as table:
                Keys(table).revoke(ALIAS)
    second = local_key(tmp_path)

    assert second != first
    assert aliases(tmp_path) == [ALIAS]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_somebody_s_own_key_of_that_name_is_left_alone(tmp_path: Path) -> None:
    with closing(KeyTable(tmp_path)) as table:
        secret, _ = Keys(table).create(ALIAS, owner="alice")

    with pytest.raises(Conflict, match=ALIAS):
        local_key(tmp_path)
    with closing(KeyTable(tmp_path)) as table:
        assert Keys(table).authenticate(secret).alias == ALIAS
