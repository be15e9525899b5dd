"""`tollbook prices`: what it says, what it refuses, and its exit codes (0 done, 1 not possible or to look at, 2 misused)."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from tollbook.__main__ import main
from tollbook.pricing import PriceBook
from tollbook.storage.prices import FILE, PriceTable

from .making import catalogue

CONFIG = """\
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-5, api_key: sk-never-shown}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: sk-never-shown}
"""
ODD = """\
  - model_name: odd
    litellm_params: {model: openai/nobody-knows-this-one, api_key: sk-never-shown}
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if re.search(r"_KEY|TOKEN|SECRET|_PROJECT|_BASE|AWS_|AZURE_|TOLLBOOK_", name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    return tmp_path / "books"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, books: Path) -> Any:
    """Runs `tollbook prices`: (exit code, stdout, stderr)."""

    def ran(*arguments: str, config: str = CONFIG) -> tuple[int, str, str]:
        (tmp_path / "config.yaml").write_text(config)
        try:
            code = main(["prices", *arguments, "--config", "config.yaml", "--data-dir", str(books)])
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return ran


def rows(books: Path) -> list[dict[str, Any]]:
    table = PriceTable(books)
    found = table.rows()
    table.close()
    return found


# ── list ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_list_shows_rates_tiers_thresholds_versions_and_since_when(run: Any, books: Path) -> None:
    code, out, _ = run("list")

    assert code == 0
    assert re.search(r"^openai/gpt-5 +1\.25 +0\.125 .* 10 +web search 10/1k, .*genai-prices", out, re.MULTILINE)
    assert re.search(r"^ +flex +0\.625 .* 5 +2026-10-12 *$", out, re.MULTILINE)
    assert re.search(r"^anthropic/claude-sonnet-4-5 +3 +0\.3 +3\.75 +6 +15 ", out, re.MULTILINE)
    assert re.search(r"^ +above 200,000 +6 +0\.6 +7\.5 +12 +22\.5", out, re.MULTILINE)
    assert "\x1b" not in out
    assert not books.exists(), "looking makes no files"


def test_a_model_without_a_price_is_told_and_fails_where_that_was_asked_for(run: Any) -> None:
    code, out, _ = run("list", config=CONFIG + ODD)

    assert (code, bool(re.search(r"^openai/nobody-knows-this-one +unpriced", out, re.MULTILINE))) == (0, True)
    assert run("list", "--fail", config=CONFIG + ODD)[0] == 1
    assert run("list", "--fail")[0] == 0


def test_filters_show_models_of_the_catalogue_too(run: Any) -> None:
    out = run("list", "--model", "anthropic/claude-opus-4*")[1]

    assert "anthropic/claude-opus-4-5" in out
    assert "gpt-5" not in out
    assert run("list", "--model", "gpt-5")[1].count("openai/gpt-5 ") >= 1
    assert "google/gemini" in run("list", "--provider", "gemini")[1]
    assert run("list", "--model", "nothing-is-called-that") == (
        0,
        "",
        "no model fits; --all shows the whole catalogue\n",
    )


def test_a_list_is_json_for_programs(run: Any) -> None:
    found = json.loads(run("list", "--json", config=CONFIG + ODD)[1])

    standard = next(one for one in found if one["model"] == "openai/gpt-5" and one["tier"] is None)
    assert standard["usd"]["input"] == {"usd": "1.25", "per": 1_000_000}
    assert standard["usd"]["web_search"] == {"usd": "10", "per": 1000}
    assert next(one for one in found if one["tier"] == "flex")["since"] == "2026-10-12"
    assert [one["priced"] for one in found if one["model"] == "openai/nobody-knows-this-one"] == [False]


def test_without_models_it_says_how_to_see_some(run: Any) -> None:
    wild = "model_list: [{model_name: openai/*, litellm_params: {model: openai/*, api_key: x}}]"

    assert "--model PATTERN shows any" in run("list", config=wild)[2]


# ── set, unset ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_price_is_said_per_million_tokens_and_written_per_token_exactly(run: Any, books: Path) -> None:
    options = ("--input", "0.1", "--output", "15", "--cache-read", "0.025", "--price", "web_search_cost_per_call=0.01")
    code, out, _ = run(
        "set", "openai/gpt-5", *options, "--from", "2026-12-01", "--discount", "0.15", "--note", "by contract"
    )

    assert code == 0
    assert out.startswith("own 1: openai/gpt-5 from 2026-12-01: input_cost_per_token=0.0000001, ")
    (row,) = rows(books)
    assert row["said"] == {
        "input_cost_per_token": "0.0000001",
        "output_cost_per_token": "0.000015",
        "cache_read_input_token_cost": "0.000000025",
        "web_search_cost_per_call": "0.01",
        "discount": "0.15",
    }
    assert (row["note"], row["actor"].partition(":")[0]) == ("by contract", "cli")
    assert re.search(
        r"^openai/gpt-5 +0\.1 +0\.025 .*own 1 from 2026-12-01/discount:15%",
        run("list", "--at", "2026-12-01")[1],
        re.MULTILINE,
    )
    assert re.search(r"^openai/gpt-5 +1\.25 ", run("list", "--at", "2026-11-30T23:59:59")[1], re.MULTILINE)


def test_a_later_price_says_what_it_counts_instead_of(run: Any) -> None:
    run("set", "openai/gpt-5", "--input", "3", "--output", "12", "--from", "2026-01-01")
    code, _, err = run("set", "openai/gpt-5", "--input", "4", "--output", "12", "--from", "2026-06-01")

    assert code == 0
    assert "instead of own 1 from 2026-01-01 (openai/gpt-5)" in err
    assert "calls that are in the books already keep their cost" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("openai/x",), "Say at least one price, or one of --uplift"),
        (("openai/x", "--input", "3"), "output_cost_per_token must be said, too"),
        (("openai/x", "--input", "-3", "--output", "1"), "input: must be from 0 up"),
        (("openai/x", "--input", "nan", "--output", "1"), "input: must be finite"),
        (("openai/x", "--input", "inf", "--output", "1"), "input: must be finite"),
        (("openai/x", "--input", "cheap", "--output", "1"), "input: must be a number of USD per million tokens"),
        (
            ("openai/x", "--input", "20000", "--output", "1"),
            "input: nobody charges more than 10000 USD per million tokens",
        ),
        (("openai/x", "--price", "input_cost_per_token=3", "--output", "1"), "it looks like the price of a million"),
        (("openai/x", "--price", "input_cost_per_tokn=1"), "Did you mean input_cost_per_token?"),
        (("openai/x", "--price", "web_search"), "write a price as KEY=VALUE"),
        (("openai/x", "--input", "1", "--price", "input_cost_per_token=1e-6", "--output", "1"), "is given twice"),
        (("openai/x", "--input", "1", "--output", "1", "--price", "currency=EUR"), "currency: prices are in USD"),
        (("openai/x", "--input", "1", "--output", "1", "--price", "threshold_rule=steep"), "must be whole or marginal"),
        (("openai/x", "--discount", "15"), "discount: at most 1; it is a share"),
        (("gpt", "--discount", "0.1"), "model: which provider?"),
        (("openai/x", "--discount", "0.1", "--tier", "default"), "the standard tier has no name"),
        (
            ("openai/x", "--tier", "flex", "--price", "input_cost_per_token_flex=0", "--input", "1", "--output", "1"),
            "--tier does, too",
        ),
        (
            ("openai/x", "--discount", "0.1", "--from", "2026-02-01", "--until", "2026-02-01"),
            "is not after its beginning",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    run: Any, books: Path, arguments: Any, said: str
) -> None:
    code, out, err = run("set", *arguments)

    assert (code, out) == (1, "")
    assert said in err
    assert not books.exists()


def test_a_date_that_is_none_is_a_misuse(run: Any) -> None:
    assert run("set", "openai/x", "--discount", "0.1", "--from", "soon")[0] == 2


def test_prices_that_leave_open_which_counts_are_refused(run: Any, books: Path) -> None:
    listed = CONFIG + "prices: [{model: openai/y, discount: 0.1, valid_from: 2026-01-01, valid_until: 2026-06-01}]\n"
    run("set", "openai/x", "--discount", "0.1", "--from", "2026-01-01", "--until", "2026-06-01")

    for model, against in (("openai/x", "own 1 from 2026-01-01"), ("openai/y", "config ")):
        code, _, err = run(
            "set", model, "--discount", "0.2", "--from", "2026-03-01", "--until", "2026-12-01", config=listed
        )
        assert (code, f"It contradicts {against}" in err) == (1, True)
    assert len(rows(books)) == 1


def test_a_slip_of_the_pen_is_asked_about_and_a_dry_run_writes_nothing(run: Any, books: Path) -> None:
    code, out, err = run("set", "openai/x", "--discount", "0.1", "--from", "1926-01-01", "--dry-run")
    assert (code, out) == (2, "")
    code, out, err = run("set", "openai/x", "--discount", "0.1", "--from", "2006-01-01", "--dry-run")

    assert (code, out) == (0, "would set openai/x from 2006-01-01: discount=0.1\n")
    assert "look twice: openai/x: valid_from 2006-01-01 is before anybody sold tokens" in err
    assert rows(books) == []


def test_a_price_ends_now_at_a_time_or_as_if_it_had_never_held(run: Any) -> None:
    for _ in range(3):
        run("set", "openai/x", "--discount", "0.1", "--from", "2026-01-01")
    today = time.strftime("%Y-%m-%d", time.gmtime())

    assert run("unset", "1")[1].startswith(f"own 1 ends {today}")
    assert run("unset", "own 2", "--at", "2030-01-01", "--note", "sold out") == (0, "own 2 ends 2030-01-01\n", "")
    assert run("unset", "3", "--always") == (0, "own 3 never held\n", "")
    assert run("unset", "3")[0] == run("unset", "99")[0] == 1
    assert run("unset", "x")[0] == 2
    own = run("list", "--own")[1]
    assert re.search(r"1 +openai/x .* discount=0\.1 .* ended", own)
    assert re.search(r"2 +openai/x .*2030-01-01 .* discount=0\.1 .* holds", own)
    assert len(re.findall("openai/x", own)) == 2


def test_your_own_list_has_the_configurations_too(run: Any) -> None:
    listed = CONFIG + "prices: [{model: 'openai/*', discount: 0.1, note: by contract}]\n"

    assert re.search(
        r"openai/\* +always +discount=0\.1 +config\.yaml +by contract +holds", run("list", "--own", config=listed)[1]
    )
    (one,) = json.loads(run("list", "--own", "--json", config=listed)[1])
    assert (one["model"], one["number"], one["said"]) == ("openai/*", None, {"discount": "0.1"})
    assert "no prices of your own" in run("list", "--own")[2]


# ── diff ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_difference_between_two_dates_names_what_got_dearer_by_how_much(run: Any) -> None:
    run("set", "openai/gpt-5", "--input", "2.5", "--output", "8", "--from", "2030-01-01")
    code, out, _ = run("diff", "--from", "2029-12-31", "--to", "2030-01-01")

    assert code == 0
    assert re.search(r"^openai/gpt-5 +input +1\.25 +2\.5 +\+100\.0 %", out, re.MULTILINE)
    assert re.search(r"^ +output +10 +8 +-20\.0 %", out, re.MULTILINE)
    assert "2029-12-31 → 2030-01-01: 1 dearer, 1 cheaper" in out
    assert run("diff", "--from", "2029-12-31", "--to", "2030-01-01", "--fail")[0] == 1
    assert run("diff", "--from", "2030-01-01", "--to", "2029-12-31", "--model", "claude*", "--fail")[0] == 0
    told = json.loads(run("diff", "--from", "2029-12-31", "--to", "2030-01-01", "--json")[1])
    assert {"model": "openai/gpt-5", "kind": "input", "before": "1.25", "after": "2.5"}.items() <= told["changes"][
        0
    ].items()


def test_without_a_start_there_is_nothing_to_compare_with(run: Any) -> None:
    assert "no gateway has started on this data directory yet" in run("diff")[2]


def test_after_an_upgrade_the_installed_catalogue_is_compared_with_the_one_of_the_last_start(
    run: Any, books: Path
) -> None:
    table = PriceTable(books)
    older = PriceBook(lambda: catalogue("1", "genai-prices 0.0.1"), table=table, keeps=True)
    older.warm(prices=())
    older.close()
    table.close()
    config = CONFIG.replace("openai/gpt-5,", "openai/m,")

    out = run("diff", config=config)[1]

    assert re.search(r"^openai/m +all +1 input, 10 output +gone", out, re.MULTILINE)
    assert re.search(r"genai-prices 0\.0\.1 \(at the last start\) → genai-prices \S+ \(installed\)", out)
    assert run("diff", "--from", "0.0.1", config=config)[0] == 0
    assert "There is no price catalogue 'genai-prices 0.0.2'. Known: " in run("diff", "--from", "0.0.2")[2]


# ── stale ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stale_names_old_prices_and_models_without_one(run: Any) -> None:
    listed = (
        CONFIG
        + ODD
        + "prices: [{model: openai/gpt-5, valid_from: 2024-01-01, discount: 0.1}, {model: groq/x, discount: 0.1}]\n"
    )
    code, out, _ = run("stale", "--days", "36500", config=listed)

    assert code == 0
    assert re.search(r"model +openai/nobody-knows-this-one .* has no price", out)
    assert re.search(r"own price +config \w+ \(groq/x\) .* fits no model", out)
    assert "openai/gpt-5" not in out
    assert re.search(
        r"own price .*openai/gpt-5\) +2024-01-01 +\d+ days old", run("stale", "--days", "30", config=listed)[1]
    )
    assert run("stale", "--days", "36500", "--fail", config=listed)[0] == 1
    assert run("stale", "--days", "36500", "--fail") == (0, run("stale", "--days", "36500")[1], "")
    assert "Nothing to look at: genai-prices" in run("stale", "--days", "36500")[1]


def test_an_old_catalogue_is_stale(run: Any) -> None:
    out = run("stale", "--days", "1")[1]

    assert re.search(r"catalogue +genai-prices \S+ +20\d\d-\d\d-\d\d +\d+ days old; upgrade genai-prices", out)
    told = json.loads(run("stale", "--days", "1", "--json")[1])
    assert told["findings"][0]["what"] == "catalogue"
    assert run("stale", "--days", "0")[0] == 2


def test_looking_makes_no_file(run: Any, books: Path) -> None:
    for verb in ("list", "diff", "stale"):
        run(verb)

    assert not (books / FILE).exists()


# ── The page about it ───────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()


def test_what_the_page_shows_works(run: Any) -> None:
    (listed,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = [
        line
        for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(lines) > 8
    older = "diff --from 0.2.2"
    for line in lines:
        program, verb, *arguments = shlex.split(line)[:1] + shlex.split(line)[2:]
        code, _, err = run(verb, *arguments, config=CONFIG + listed)
        assert (program, code) == ("tollbook", 1 if older in line or "--fail" in line else 0), (line, err)


def test_the_page_names_every_key() -> None:
    from tollbook.config import prices, schema

    shown = PAGE.replace("`…_above_1hr` `…_above_12hr`", " ".join(n for n in prices.TOKEN_PRICES if "hr" in n))
    missing = [name for name in (*prices.NAMES, *schema.TERMS, *schema.PRICE_ENTRY) if name not in shown]
    assert missing == []
    assert [tier for tier in prices.TIERS if f"_{tier}" not in PAGE and tier != "batch"] == []
