"""What a killed process had begun is found again: whole records count, a cut one ends the file, booked calls are gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.call import Attempt, Call
from tollbook.responses.usage import Usage
from tollbook.storage import Unfinished
from tollbook.storage.intents import LARGEST, Intents, _unfinished, left

from .making import call


def under_way(**changes: object) -> tuple[Call, Attempt]:
    """A call whose first attempt failed and whose second is about to be sent."""
    of = call(outcome=None, ended=None, **changes)
    of.attempts[0].ended = of.started + 5
    of.attempts[0].usage = Usage(input=7)
    of.attempts[1].ended = of.attempts[1].outcome = None
    return of, of.attempts[1]


def found(directory: Path) -> list[Unfinished]:
    """Everything that gone processes left."""
    unfinished = []
    for file in left(directory):
        unfinished += file.calls()
        file.release()
    return unfinished


def abandon(intents: Intents) -> None:
    """As a kill does: the lock goes, the file stays."""
    intents.forget()


def test_a_call_comes_back_with_what_was_heard_of_it(tmp_path: Path) -> None:
    intents = Intents(tmp_path, "0")
    of, attempt = under_way(end_user="ann", session_id="resp_1", parent_span=("aa", "bb"))
    intents.begins(of, attempt, 100)
    intents.heard(of, attempt, 10)
    intents.heard(of, attempt, 25)
    abandon(intents)

    (unfinished,) = found(tmp_path)

    told = unfinished.call
    assert (told.id, told.model, told.key_id, told.end_user, told.tags) == (
        *(of.id, "gpt-4o", "key_1", "ann"),
        ("blue", "green"),
    )
    assert (told.session_id, told.parent_span, told.trace_id) == ("resp_1", ("aa", "bb"), of.trace_id)
    assert [a.usage for a in told.attempts] == [Usage(input=7), Usage(input=100, output=25, source="estimated")]
    assert [a.deployment for a in told.attempts] == ["gpt-4o@azure", "gpt-4o@openai"]
    assert unfinished.heard > of.started


def test_a_booked_call_is_not_told(tmp_path: Path) -> None:
    intents = Intents(tmp_path, "0")
    (booked, first), (open_, second) = under_way(), under_way()
    intents.begins(booked, first, 1)
    intents.begins(open_, second, 1)
    intents.ends(booked)
    abandon(intents)

    assert [each.call.id for each in found(tmp_path)] == [open_.id]


def test_a_living_process_keeps_its_calls_to_itself(tmp_path: Path) -> None:
    intents = Intents(tmp_path, "0")
    intents.begins(*under_way(), 1)

    assert found(tmp_path) == []
    intents.close()
    assert len(found(tmp_path)) == 1, "it was closed with a call under way"


def test_settled_files_are_gone_and_a_clean_end_leaves_none(tmp_path: Path) -> None:
    intents = Intents(tmp_path, "0")
    of, attempt = under_way()
    intents.begins(of, attempt, 1)
    abandon(intents)
    for file in left(tmp_path):
        file.settle()
    clean = Intents(tmp_path, "0")
    clean.begins(of, attempt, 1)
    clean.ends(of)
    clean.close()

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_grows_too_large_is_begun_anew_with_what_is_under_way(tmp_path: Path) -> None:
    intents = Intents(tmp_path, "0")
    lasting, attempt = under_way()
    intents.begins(lasting, attempt, 50)
    intents.heard(lasting, attempt, 5)
    first = intents.path
    other, another = under_way(model="m" * 4000)
    for _ in range(LARGEST // 4000 + 10):
        intents.begins(other, another, 1)
        intents.ends(other)
    second = intents.path
    size = second.stat().st_size
    abandon(intents)

    (unfinished,) = found(tmp_path)
    assert second != first
    assert not first.exists()
    assert size < LARGEST / 2
    assert unfinished.call.attempts[1].usage == Usage(input=50, output=5, source="estimated")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three calls: one that ended, one that was heard of, one that was retried."""
    intents = Intents(tmp_path_factory.mktemp("intents"), "0")
    for number in range(3):
        of, attempt = under_way(id=f"call_{number}")
        intents.begins(of, of.attempts[0], 1)
        intents.begins(of, attempt, 2)
        intents.heard(of, attempt, 3)
        if number == 0:
            intents.ends(of)
    raw = intents.path.read_bytes()
    intents.close()
    return raw


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_however_a_file_ends_its_whole_records_are_told(written: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(written)))
    rest = data.draw(st.binary(max_size=12))

    told = list(_unfinished(written[:cut] + rest))

    assert [each.call.id for each in told] == sorted({each.call.id for each in told})
    assert {each.call.id for each in told} <= {"call_0", "call_1", "call_2"}
    if cut == len(written):
        assert [each.call.id for each in told] == ["call_1", "call_2"]


_KILLED = """
import sys
from pathlib import Path
from tests.storage.test_intents import under_way
from tollbook.storage.intents import Intents
intents = Intents(Path(sys.argv[1]), "0")
for number in range(1000):
    of, attempt = under_way(id=f"call_{number}")
    intents.begins(of, attempt, number)
    print(number, flush=True)
"""


def test_a_kill_loses_nothing_that_was_said(tmp_path: Path) -> None:
    told: list[int] = []
    with subprocess.Popen([sys.executable, "-c", _KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(int(line))
            if len(told) == 40:
                process.send_signal(signal.SIGKILL)

    assert len(told) >= 40
    assert [each.call.id for each in found(tmp_path)][: len(told)] == [f"call_{number}" for number in told]


def test_a_forked_child_does_not_keep_its_parents_calls_alive(tmp_path: Path) -> None:
    intents = Intents(tmp_path, "0")
    intents.begins(*under_way(), 1)
    born, (dies, end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        os.write(born[1], b"x")
        os.read(dies, 1)  # until the parent closes its end, or is gone
        os._exit(0)
    os.read(born[0], 1)
    os.close(intents._file)  # as if the parent were gone
    intents._file = -1
    told = found(tmp_path)
    os.close(end)
    os.waitpid(child, 0)
    for each in (*born, dies):
        os.close(each)

    assert len(told) == 1
