"""The command line: what it says, what it refuses, and its exit codes (0 done, 1 not possible, 2 misused)."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tollbook.__main__ import COMMANDS, main
from tollbook.access.address import loopback
from tollbook.commands.dashboard import command
from tollbook.config.environment import CREDENTIALS

GOOD = """\
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o-mini, api_key: sk-never-shown}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: sk-never-shown}
  - model_name: odd
    litellm_params: {model: openai/nobody-knows-this-one, api_key: sk-never-shown}
  - model_name: own
    litellm_params:
      {model: openai/also-unknown, api_key: sk-never-shown, input_cost_per_token: 1e-6, output_cost_per_token: 0.0000025}
  - model_name: team/*
    litellm_params: {model: openai/*, api_key: sk-never-shown}
litellm_settings:
  success_callback: [langfuse]
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's environment: no credentials, no books, no colour."""
    for name in list(os.environ):
        if re.search(r"_KEY|TOKEN|SECRET|_PROJECT|_BASE|AWS_|AZURE_|TOLLBOOK_", name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TOLLBOOK_DATA_DIR", str(tmp_path / "books"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command line: (exit code, stdout, stderr)."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(list(arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return ran


@pytest.fixture
def config(tmp_path: Path) -> Any:
    def written(text: str) -> str:
        (tmp_path / "config.yaml").write_text(text)
        return "config.yaml"

    return written


# ── Finding one's way ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_help_lists_the_commands_and_shows_how_to_begin(run: Any) -> None:
    code, out, _ = run("--help")

    assert code == 0
    assert all(f"    {name} " in out for name, module in COMMANDS.items() if module.HELP)
    assert "recorder" not in out
    assert "tollbook --config config.yaml" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, run: Any) -> None:
    code, out, _ = run(name, "--help")

    assert code == 0
    assert out.startswith(f"usage: tollbook {name} ")


def test_version_is_told_in_three_ways(run: Any) -> None:
    told = {run("--version")[1], run("-v")[1], run("version")[1]}

    assert len(told) == 1
    assert re.fullmatch(r"tollbook \d+\.\d+\.\d+\S*\n", told.pop())


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["--frobnicate"],
        ["keys"],
        ["keys", "create"],
        ["--port", "x"],
        ["--port", "99999"],
        ["--workers", "0"],
    ],
)
def test_misuse_ends_with_2_and_a_usage_line(arguments: list[str], run: Any) -> None:
    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("usage: tollbook")


def test_the_command_line_loads_nothing_heavy_until_a_command_runs() -> None:
    heavy = "{'litestar', 'duckdb', 'httpx', 'yaml', 'rich', 'uvicorn', 'opentelemetry', 'genai_prices', 'polars', 'streamlit'}"
    code = f"import sys, tollbook.__main__; print({heavy} & {{name.partition('.')[0] for name in sys.modules}})"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# ── check ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_tells_where_each_model_is_and_what_it_costs(run: Any, config: Any) -> None:
    code, out, err = run("check", "--config", config(GOOD))

    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert code == 0, err
    assert "5 models, 5 deployments" in out
    assert re.search(
        r"openai +gpt-4o-mini +https://api\.openai\.com/v1/responses +bearer +responses +\$0\.15 in, \$0\.6 out",
        rows["gpt"],
    )
    assert re.search(
        r"anthropic +claude-sonnet-4-5 +https://api\.anthropic\.com/v1/messages +x-api-key +messages", rows["claude"]
    )
    assert "$1 in, $2.5 out" in rows["own"]
    assert "by model" in rows["team/*"]
    assert "sk-never-shown" not in out + err


def test_check_names_the_unpriced_and_the_ignored(run: Any, config: Any) -> None:
    code, out, _ = run("check", "-c", config(GOOD))

    assert code == 0
    assert (
        "Unpriced (1): calls are booked without a cost. Set prices, or base_model:\n  odd (openai/nobody-knows" in out
    )
    assert "Ignored (1):\n  config.yaml:14: litellm_settings.success_callback: not used: telemetry is set by" in out


def test_check_live_tells_url_scheme_and_dialect_of_each_deployment(run: Any, config: Any) -> None:
    code, out, _ = run("check", "--live", "-c", config(GOOD))

    blocks = out.split("\n\n")
    assert code == 0
    assert len([block for block in blocks if "  deployment" in block]) == 5
    assert out.endswith("\nAll right.\n")
    assert "  url         POST https://api.anthropic.com/v1/messages\n" in out
    assert "  auth        x-api-key: a key in this header\n  dialect     messages\n" in out


def test_check_live_says_why_a_place_will_not_do(run: Any, config: Any) -> None:
    old = "{model: azure/gpt-4, api_key: k, api_base: 'https://x.openai.azure.com', api_version: 2024-06-01}"
    none = "{model: azure/gpt-4, api_key: k}"
    named = "model_name: {name}, litellm_params: {params}"
    rows = [named.format(name=name, params=params) for name, params in (("old", old), ("none", none))]
    code, out, _ = run("check", "--live", "-c", config("model_list: [" + ", ".join(f"{{{row}}}" for row in rows) + "]"))

    assert code == 1
    assert "  but         no Responses API before api-version 2025-03-01-preview" in out
    assert "  url         Deployment 'none' (azure) needs api_base or AZURE_API_BASE.\n" in out


def test_check_ends_with_1_and_every_problem_when_the_file_is_wrong(run: Any, config: Any) -> None:
    code, out, err = run("check", "-c", config(GOOD + "genral_settings: {}\nrouter_settings: {num_retries: many}\n"))

    assert (code, out) == (1, "")
    assert 'config.yaml:15: genral_settings: unknown key. Did you mean "general_settings"?' in err
    assert "config.yaml:16: router_settings.num_retries: expected a whole number, got text" in err


def test_check_ends_with_1_when_a_model_has_no_credentials_or_an_unknown_provider(run: Any, config: Any) -> None:
    code, _, err = run(
        "check",
        "-c",
        config(
            "model_list:\n  - {model_name: a, litellm_params: {model: anthropic/claude}}\n"
            "  - {model_name: b, litellm_params: {model: nosuch/model}}\n"
        ),
    )

    assert code == 1
    assert "ANTHROPIC_API_KEY" in err
    assert "Unknown provider 'nosuch'" in err


def test_check_without_a_file_shows_what_the_environment_offers(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-shown")
    code, out, _ = run("check")

    assert code == 0
    assert out.startswith("no file, models from the environment: ")
    assert {"openai/*", "simulated/*", "gpt-*"} <= {line.split()[0] for line in out.splitlines() if line.strip()}


def test_names_cannot_steer_the_terminal(run: Any, config: Any) -> None:
    _, out, _ = run(
        "check", "-c", config(r'model_list: [{model_name: "a\x9b2Jb", litellm_params: {model: simulated/echo}}]')
    )

    assert "\x9b" not in out


@pytest.mark.parametrize(
    ("provider", "variables"),
    [(provider, variables) for provider, ways in CREDENTIALS.items() for variables in ways],
)
def test_every_provider_that_the_environment_opens_can_be_served(
    provider: str, variables: tuple[str, ...], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in variables:
        monkeypatch.setenv(name, "https://example.com" if name.endswith("_BASE") else "k")
    code, out, err = run("check")

    assert code == 0, err
    assert f"{provider}/*" in out


# ── serve ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", "", "127.0.0.1.nip.io"])
def test_without_a_master_key_only_this_machine_can_be_served(host: str, run: Any) -> None:
    code, _, err = run("serve", "--host", host)

    assert code == 2
    assert "without a master key only this machine can be served" in err
    assert "TOLLBOOK_MASTER_KEY" in err


def test_loopback_has_many_names() -> None:
    assert all(map(loopback, ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]))


def test_serve_refuses_a_wrong_file_before_it_listens(run: Any, config: Any) -> None:
    code, _, err = run("--config", config("model_lst: []"))

    assert code == 1
    assert 'config.yaml:1: model_lst: unknown key. Did you mean "model_list"?' in err


def test_serve_refuses_models_that_cannot_be_served(run: Any, config: Any) -> None:
    code, _, err = run("--config", config("model_list: [{model_name: a, params: {model: anthropic/claude}}]"))

    assert code == 1
    assert "ANTHROPIC_API_KEY" in err


def test_serve_answers_and_stops_on_ctrl_c(tmp_path: Path, config: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = config("litellm_settings: {cache: true, set_verbose: true}")
    server = subprocess.Popen(
        [sys.executable, "-m", "tollbook", "--config", file, "--port", str(port)], stderr=subprocess.PIPE, text=True
    )
    try:
        models = _wait_for(f"http://127.0.0.1:{port}/v1/models", server)
    finally:
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=40)

    assert b"simulated/" in models
    assert "no master key: open to this machine only" in err
    assert "2 settings are ignored, see tollbook check" in err
    assert (tmp_path / "books").is_dir()


def _wait_for(url: str, server: subprocess.Popen[str]) -> bytes:
    """The first answer, within 30 seconds."""
    end = time.monotonic() + 30
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_made_shown_once_listed_blocked_and_revoked(run: Any) -> None:
    code, secret, err = run("keys", "create", "alice", "--team", "red", "--model", "openai/*", "--expires", "30d")
    assert code == 0
    assert re.fullmatch(r"sk-tb-\S{43}\n", secret)
    assert "alice" in err
    assert secret.strip() not in err

    assert re.search(r"alice .* red .* openai/\* .* active", run("keys", "list")[1])
    assert secret.strip() not in run("keys", "list")[1]

    assert run("keys", "block", "alice")[1].startswith("blocked key_")
    assert "blocked" in run("keys", "list")[1]
    assert run("keys", "unblock", "alice")[1].startswith("unblocked key_")
    assert run("keys", "revoke", "alice")[1].startswith("revoked key_")
    assert run("keys", "list") == (0, "", "no keys\n")
    assert "revoked" in run("keys", "list", "--revoked")[1]


def test_a_key_is_shown_changed_and_rotated(run: Any) -> None:
    _, old, err = run(
        *("keys", "create", "alice", "--team", "red", "--tag", "a", "--rpm", "60", "--max-parallel", "3"),
        *("--unpriced", "block", "--content", "none", "--budget", "5/day", "--budget", "100/month@Europe/Berlin"),
    )
    shown = run("keys", "show", "alice")[1]
    edited = run("keys", "edit", "alice", "--rpm", "none", "--alias", "ann", "--tag", "none", "--model", "nothing*")
    rotated = run("keys", "rotate", "ann", "--grace", "2h")

    assert "the team 'red' is new" in err
    assert re.search(r"^limits +60 rpm, 3 at a time$", shown, re.MULTILINE)
    assert re.search(r"^budgets +\$5 of \$5 left per day, \$100 of \$100 left per month$", shown, re.MULTILINE)
    assert re.search(r"^unpriced +block$", shown, re.MULTILINE)
    assert re.search(r"^alias +ann$", edited[1], re.MULTILINE)
    assert "60 rpm" not in edited[1]
    assert "tags" not in edited[1]
    assert edited[2] == "no model fits the pattern 'nothing*'\n"
    assert rotated[1].startswith("sk-tb-")
    assert rotated[1] != old
    assert re.search(r"The old one is good until \d{4}-\d\d-\d\d \d\d:\d\d UTC", rotated[2])
    assert "The old one has ended" in run("keys", "rotate", "ann", "--grace", "0")[2]


def test_what_a_list_shows_a_machine_can_have_as_json(run: Any) -> None:
    made = json.loads(run("keys", "create", "alice", "--team", "red", "--budget", "5/day", "--json")[1])
    listed = {what: json.loads(run(what, "list", "--json")[1])["data"] for what in ("keys", "teams", "budgets")}
    audit = json.loads(run("audit", "--json")[1])["data"]

    assert made["secret"].startswith("sk-tb-")
    assert made["budgets"][0]["left_usd"] == "5"
    assert [each["alias"] for each in listed["keys"]] == ["alice"]
    assert [each["name"] for each in listed["teams"]] == ["red"]
    assert [(each["name"], each["key_alias"]) for each in listed["budgets"]] == [("key:alice:day", "alice")]
    assert [(act["action"], act["kind"]) for act in audit] == [
        ("create", "budget"),
        ("create", "key"),
        ("create", "team"),
    ]
    assert made["secret"] not in str((listed, audit))


def test_teams_are_made_changed_blocked_and_removed(run: Any) -> None:
    made = run("teams", "create", "red", "--model", "gpt*", "--tpm", "1000", "--budget", "9/week")
    run("keys", "create", "alice", "--team", "red")
    edited = run("teams", "edit", "red", "--tpm", "none", "--model", "none", "--tag", "t")
    kept = run("teams", "remove", "red")
    blocked = run("teams", "block", "red")[1]
    listed = run("teams", "list")[1]
    run("keys", "revoke", "alice")

    assert re.search(r"^limits +1000 tpm$", made[1], re.MULTILINE)
    assert re.search(r"^keys +alice$", edited[1], re.MULTILINE)
    assert re.search(r"^models +all$", edited[1], re.MULTILINE)
    assert (kept[0], kept[2]) == (1, "tollbook: 1 key belongs to the team 'red'.\n")
    assert blocked == "blocked red\n"
    assert re.search(r"red .* all .* t .* blocked", listed)
    assert run("teams", "remove", "red")[1] == "removed red\n"
    assert run("teams", "list") == (0, "", "no teams\n")
    assert run("budgets", "list") == (0, "", "no budgets\n")


def test_budgets_are_made_changed_reset_and_removed(run: Any, config: Any) -> None:
    run("keys", "create", "alice")
    place = ("--config", config("budgets: [{name: all, amount: 500, window: month}]\n"))
    made = run(
        "budgets", "create", "--key", "alice", "--amount", "5", "--window", "day", "--zone", "Asia/Tokyo", *place
    )
    edited = run("budgets", "edit", "key:alice:day", "--amount", "7.5", "--soft", "0.5", "--name", "hers", *place)
    users = run("budgets", "create", "--end-user", "*", "--amount", "1", "--window", "total", *place)
    listed = run("budgets", "list", *place)[1]

    assert re.search(r"^window +day in Asia/Tokyo$", made[1], re.MULTILINE)
    assert re.search(r"^amount +\$7\.5$", edited[1], re.MULTILINE)
    assert re.search(r"^warns at +50%$", edited[1], re.MULTILINE)
    assert re.search(r"^left +\$1 each$", users[1], re.MULTILINE)
    assert re.search(r"all +config:all +everything +\$500 +month", listed)
    assert re.search(r"hers +budget_\w+ +key alice +\$7\.5 +day Asia/Tokyo", listed)
    assert run("budgets", "reset", "hers", *place)[1] == "reset hers\n"
    assert run("budgets", "remove", "hers", *place)[1] == "removed hers\n"
    assert run("budgets", "edit", "all", "--amount", "1", *place)[2] == (
        "tollbook: The budget 'all' is set in the configuration.\n"
    )
    assert re.search(r"remove budget +hers", run("audit", "--limit", "1")[1])


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("budgets", "create", "--amount", "-1", "--window", "day"), 1, "must not be negative"),
        (("budgets", "create", "--amount", "x", "--window", "day"), 1, "an amount of dollars was expected"),
        (("budgets", "create", "--amount", "1", "--window", "0h"), 1, "a window of 0 holds nothing"),
        (("budgets", "create", "--amount", "1", "--window", "day", "--zone", "Mars"), 1, "no such time zone"),
        (("budgets", "create", "--amount", "1", "--window", "day", "--key", "nobody"), 1, "There is no key 'nobody'"),
        (("budgets", "create", "--amount", "1", "--window", "day", "--key", "a", "--team", "b"), 2, "not allowed with"),
        (("budgets", "create", "--amount", "1", "--window", "day", "--soft", "x"), 2, "--soft"),
        (("budgets", "remove", "nothing"), 1, "There is no budget 'nothing'"),
        (("keys", "create", "a", "--budget", "5"), 2, "such as 5/day"),
        (("keys", "create", "a", "--budget", "5/0h"), 1, "a window of 0"),
        (("keys", "create", "a", "--rpm", "0"), 2, "a whole number from 1 on"),
        (("keys", "rotate", "nobody"), 1, "There is no key 'nobody'"),
        (("teams", "show", "nobody"), 1, "There is no team 'nobody'"),
        (("audit", "--limit", "0"), 2, "a whole number from 1 on"),
    ],
)
def test_what_cannot_be_ends_with_words_and_nothing_half_made(
    run: Any, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ended, out, err = run(*arguments)

    assert (ended, out) == (code, "")
    assert told in err
    assert run("audit") == (0, "", "nothing was done\n")


def test_keys_live_in_the_data_directory(run: Any, tmp_path: Path) -> None:
    run("keys", "create", "bob", "--data-dir", str(tmp_path / "elsewhere"))

    assert "bob" in run("keys", "list", "--data-dir", str(tmp_path / "elsewhere"))[1]
    assert "bob" not in run("keys", "list")[1]


def test_a_key_that_cannot_be_is_refused(run: Any) -> None:
    run("keys", "create", "alice")

    assert run("keys", "create", "alice")[0] == 1
    assert run("keys", "revoke", "nobody")[0] == 1
    assert run("keys", "create", "late", "--expires", "2001-01-01")[0] == 1
    assert run("keys", "create", "odd", "--expires", "soon")[0] == 2


# ── dashboard ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_dashboard_is_streamlit_on_this_machine() -> None:
    told = command(Path("/app.py"), "127.0.0.1", 8501)

    assert told[1:5] == ["-m", "streamlit", "run", "/app.py"]
    assert " ".join(told[5:]) == (
        "--server.address 127.0.0.1 --server.port 8501 --server.headless true --browser.gatherUsageStats false"
    )
