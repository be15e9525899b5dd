"""`tollbook report`: every report in every form, from Parquet, from a stopped gateway's books, and from an Arrow stream
over HTTP."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from tests.analytics.books import attempt, books, by_chance, unpriced
from tests.serving import environment, free_port, respond, served
from tollbook.__main__ import main
from tollbook_analytics import columns
from tollbook_analytics.reports import REPORTS
from tollbook_analytics.shown import dollars

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=20)


class Told(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.out)["rows"]
        return rows


Run = Callable[..., Told]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in [name for name in os.environ if name.startswith("TOLLBOOK_")]:
        monkeypatch.delenv(name)

    def ran(*arguments: str) -> Told:
        try:
            code = main(["report", *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Told(code, out, err)

    return ran


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a file for each of two stretches of time."""
    folder = tmp_path_factory.mktemp("books")
    for number in range(2):
        rows = by_chance(number, 60, days=10, start=START + timedelta(days=10 * number))
        books(rows).collect().write_parquet(folder / f"{number}.parquet")
    return str(folder)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The tables that some reports need."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "budgets.csv").write_text("name,scope,subject,limit_nano,window\nall of it,all,,1000000000,month\n")
    (folder / "rates.json").write_text(json.dumps([{"model": "mini", "input": 250_000, "output": 2_000_000}]))
    pl.DataFrame({"date": [START.date()], "cost_nano": [5]}).write_parquet(folder / "bill.parquet")
    swap = ["--swap", "gpt=mini", "--swap", "*=mini", "--rates", str(folder / "rates.json")]
    limits = ["--budgets", str(folder / "budgets.csv")]
    return {
        "budgets": limits,
        "burn-down": limits,
        "what-if": swap,
        "reconcile": ["--statement", str(folder / "bill.parquet")],
    }


# ── Every report, in every form ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_is_told_in_every_form(
    name: str, run: Run, source: str, tables: dict[str, list[str]], tmp_path: Path
) -> None:
    asked = [name, "--source", source, *tables.get(name, [])]
    if name == "conversation":
        asked += ["--session", run("conversations", "--source", source, "--json").rows[0]["session"]]
    file = tmp_path / "report.parquet"
    table, as_json, as_csv, as_file = (
        run(*asked),
        run(*asked, "--json"),
        run(*asked, "--csv"),
        run(*asked, "--parquet", str(file)),
    )

    assert [told.code for told in (table, as_json, as_csv, as_file)] == [0, 0, 0, 0], table.err
    assert table.out.strip() or "nothing to tell" in table.err
    rows = as_json.rows
    assert [len(rows)] * 2 == [len(list(csv.DictReader(io.StringIO(as_csv.out)))), pl.read_parquet(file).height]
    assert f"{len(rows):,} rows in {file}" in as_file.err
    if rows:
        undescribed = [column for column in rows[0] if column not in columns.COLUMNS]
        assert undescribed == [], "every number has a word on how it was computed"


def test_money_is_whole_nano_dollars_in_files_and_readable_in_a_table(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "one.parquet"
    now = datetime.now(UTC)
    books(
        attempt(started=now, cost_nano=1_234_567_890_123), unpriced(started=now, model="llama")
    ).collect().write_parquet(file)
    asked = ["spend", "--by", "model", "--source", str(file), "--window", "2d"]

    assert [(row["model"], row["cost_nano"]) for row in run(*asked, "--json").rows] == [
        ("gpt", 1_234_567_890_123),
        ("llama", None),
    ]
    assert ",1234567890123," in run(*asked, "--csv").out
    table = run(*asked).out
    assert re.search(r"gpt +1 +0 +1 +100 +20 +\$1,234\.57 +0", table)
    assert re.search(r"llama +1 +0 +1 +100 +20 +unknown +1", table)


@pytest.mark.parametrize(
    ("nano", "told"),
    [
        (0, "$0"),
        (1, "$0.000000001"),
        (412_000, "$0.000412"),
        (412_345, "$0.0004123"),
        (99_999, "$0.0001"),
        (999_999_999, "$1.00"),
        (10**9, "$1.00"),
        (1_234_567_890_123, "$1,234.57"),
        (-1_500_000_000, "-$1.50"),
        (-412_000, "-$0.000412"),
    ],
)
def test_dollars_are_short_and_never_zero_for_something(nano: int, told: str) -> None:
    assert dollars(nano) == told


def test_a_name_cannot_be_a_formula_in_a_spreadsheet_or_steer_a_terminal(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.parquet"
    rows = [attempt(started=datetime.now(UTC), end_user=name) for name in ("=1+1", "@x", "\x1b[31mred", "fine")]
    books(rows).collect().write_parquet(file)
    asked = ["spend", "--by", "end-user", "--source", str(file)]

    names = {row["end_user"] for row in csv.DictReader(io.StringIO(run(*asked, "--csv").out))}
    assert names == {"'=1+1", "'@x", "\x1b[31mred", "fine"}
    assert "\x1b" not in run(*asked).out


def test_options_reach_the_report(run: Run, source: str) -> None:
    asked = ["spend", "--source", source, "--json", "--zone", "Asia/Kathmandu", "--since", f"{START:%Y-%m-%d}"]
    told = json.loads(
        run(*asked, "--by", "model,team", "--every", "week", "--top", "2", "--model", "gpt", "--model", "claude").out
    )

    assert told["window"]["zone"] == "Asia/Kathmandu"
    assert {row["model"] for row in told["rows"]} <= {"gpt", "claude", None}
    assert all(row["time"].endswith("+05:45") for row in told["rows"])
    assert any(row["other"] for row in told["rows"])


def test_assumptions_and_explanations_stand_beside_the_table(run: Run, source: str) -> None:
    told = run("cache", "--source", source, "--explain")

    assert "assumed: reading costs 10 % of plain input" in told.err
    assert "net_nano: what reads saved, less what writes cost extra" in told.err
    assert (
        json.loads(run("cache", "--source", source, "--json").out)["assumptions"][1]
        == "reading costs 10 % of plain input"
    )


def test_a_what_if_takes_its_rates_from_the_catalogue(run: Run, source: str) -> None:
    told = run("what-if", "--source", source, "--swap", "gpt=openai/gpt-4o-mini", "--json")

    assert [(row["model"], row["to"]) for row in told.rows] == [("gpt", "openai/gpt-4o-mini")]
    assert (
        "there are no rates of openai/gpt-4o-mini in the tier turbo"
        in run("what-if", "--source", source, "--swap", "gpt=openai/gpt-4o-mini@turbo").err
    )


def test_the_list_names_every_report(run: Run) -> None:
    out = run("list").out

    assert [line.split()[0] for line in out.splitlines()[2:]] == list(REPORTS)


@pytest.mark.parametrize("colour", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_pipe_gets_plain_text_with_whole_rows(source: str, colour: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tollbook", "report", "spend", "--by", "key,model,session", "--source", source]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(**colour)).stdout

    lines = told.splitlines()
    assert "\x1b" not in told
    assert len({len(line.rstrip()) for line in lines if "resp_" in line}) == 1, "numbers are flush right"


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        (["spned"], 2, "no report is called 'spned': did you mean spend?"),
        (["nonsense"], 2, "there is overview, spend, tokens"),
        (["spend", "--by", "colour", "--source", "SOURCE"], 1, "nothing can be told by colour"),
        (["errors", "--top", "3"], 2, "errors does not heed --top"),
        (["overview", "--every", "day"], 2, "overview does not heed --every"),
        (["spend", "--window", "fortnight"], 2, "no time is called 'fortnight'"),
        (["spend", "--until", "2026-01-01"], 2, "--until needs --since"),
        (["spend", "--since", "soon"], 2, "'soon' is no time"),
        (["spend", "--zone", "Mars"], 2, "no time zone is called 'Mars'"),
        (["spend", "--source", "nowhere"], 1, "there is no Parquet at nowhere"),
        (["spend", "--source", "FILE"], 1, "is no Parquet"),
        (["spend", "--data-dir", "nowhere"], 1, "there are no books in nowhere"),
        (["spend", "--url", "ftp://x"], 1, "'ftp://x' is no address of a gateway"),
        (["budgets", "--source", "SOURCE"], 1, "the limits are missing: --budgets FILE"),
        (["what-if", "--source", "SOURCE"], 1, "the rates are missing: --rates FILE"),
        (["reconcile", "--source", "SOURCE"], 1, "the bill is missing: --statement FILE"),
        (["what-if", "--swap", "gpt"], 2, "--swap 'gpt' does not say what goes where"),
        (["what-if", "--swap", "gpt=nobody/nothing"], 2, "the catalogue has no price of 'nobody/nothing'"),
        (["budgets", "--budgets", "nowhere.csv"], 2, "nowhere.csv cannot be read"),
        (["budgets", "--budgets", "FILE"], 2, "is not called .csv, .json or .parquet"),
        (["spend", "--json", "--csv"], 2, "not allowed with argument"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    asked: list[str], code: int, says: str, run: Run, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("not Parquet")
    told = run(*(each.replace("SOURCE", source).replace("FILE", "file.txt") for each in asked))

    assert (told.code, told.out) == (code, "")
    assert says in told.err
    assert "Traceback" not in told.err


def test_a_file_that_cannot_be_written_is_told(run: Run, source: str, tmp_path: Path) -> None:
    told = run("spend", "--source", source, "--parquet", str(tmp_path / "no" / "such" / "folder.parquet"))

    assert told.code == 1
    assert "cannot be written" in told.err


# ── From a gateway ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_books_of_a_stopped_gateway_are_told_to_the_nano_dollar(run: Run, tmp_path: Path) -> None:
    with served(tmp_path) as url:
        made = [respond(url, "simulated/echo", user=name, metadata={"tags": "x"}) for name in ("ada", "ada", "bob")]
        busy = run("spend", "--data-dir", str(tmp_path / "books"))
    asked = ["--data-dir", str(tmp_path / "books"), "--json"]
    told = run("spend", "--by", "end-user,provider", *asked)

    assert busy.code == 1
    assert "If a gateway has them open, ask it: --url" in busy.err
    assert {(row["end_user"], row["provider"]): row["calls"] for row in told.rows} == {
        ("ada", "simulated"): 2,
        ("bob", "simulated"): 1,
    }
    assert sum(row["input_tokens"] for row in told.rows) == sum(each["usage"]["input_tokens"] for each in made)
    assert [row["turns"] for row in run("conversations", *asked).rows] == [1, 1, 1]
    assert {row["metric"] for row in run("latency", *asked).rows} >= {"duration_ms", "first_output_ms"}


class Door(NamedTuple):
    """A server that gives an Arrow stream, and what it was asked."""

    url: str
    asked: list[tuple[str, dict[str, list[str]], str | None]]


@contextmanager
def door(status: int, body: bytes) -> Iterator[Door]:
    asked: list[tuple[str, dict[str, list[str]], str | None]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = urlsplit(self.path)
            asked.append((place.path, parse_qs(place.query), self.headers["authorization"]))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing to say."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Door(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def arrow(frame: pl.LazyFrame) -> bytes:
    written = io.BytesIO()
    frame.collect().write_ipc_stream(written)
    return written.getvalue()


def test_a_gateway_is_asked_for_the_time_that_the_report_needs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    frame = books(attempt(started=now - timedelta(days=1)), attempt(started=now - timedelta(days=1), model="claude"))
    with door(200, arrow(frame)) as place:
        monkeypatch.setenv("TOLLBOOK_API_KEY", "sk-tb-secret")
        told = run("spend", "--url", f"{place.url}/v1", "--by", "model", "--window", "7d", "--json")

    ((path, query, key),) = place.asked
    assert (path, key) == ("/v1/ledger", "Bearer sk-tb-secret")
    assert datetime.fromisoformat(query["start"][0]) == now.replace(
        hour=0, minute=0, second=0, microsecond=0
    ) - timedelta(days=6)
    assert {row["model"]: row["calls"] for row in told.rows} == {"gpt": 1, "claude": 1}
    assert "sk-tb-secret" not in told.out + told.err


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b'{"error": {"message": "This key is not known."}}', "refuses (401): This key is not known."),
        (500, b"oops", "refuses (500): oops"),
        (200, b"oops", "what was answered is no Arrow stream"),
    ],
)
def test_what_a_gateway_refuses_is_told_in_its_words(status: int, body: bytes, says: str, run: Run) -> None:
    with door(status, body) as place:
        told = run("spend", "--url", place.url)

    assert told.code == 1
    assert says in told.err


def test_a_gateway_that_is_not_there_is_told(run: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    assert f"no gateway answers at {url}: Connection refused" in run("spend", "--url", url).err
