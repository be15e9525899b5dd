"""The dashboard's first page: what it shows in each state, read from a real gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.serving import free_port, respond, served
from tollbook_dashboard.books import Refused, Unreachable, read_calls
from tollbook_dashboard.words import cost, dollars, short_dollars, short_number

Draw = Callable[..., AppTest]

MASTER = "sk-the-master-key"
CONFIG = """\
general_settings: {master_key: sk-the-master-key}
model_list:
  - {model_name: simulated/*, litellm_params: {model: simulated/*}}
  - {model_name: mystery, litellm_params: {model: openai_like/nobody-knows-it, api_base: "URL/v1", api_key: none}}
"""

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "nobody-knows-it",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hm."}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that says this to everybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
            """Nothing is printed."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway with a master key and four calls, one of them unpriced."""
    folder = tmp_path_factory.mktemp("gateway")
    with answering(200, json.dumps(CHAT).encode()) as unpriced:
        (folder / "config.yaml").write_text(CONFIG.replace("URL", unpriced))
        with served(folder, "--config", "config.yaml") as url:
            respond(url, "simulated/echo", key=MASTER, user="ada")
            respond(url, "simulated/echo", key=MASTER, user="ada")
            respond(url, "simulated/story", key=MASTER)
            respond(url, "mystery", key=MASTER, user="grace")
            yield url


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Iterator[Draw]:
    """Draws the page for a gateway, with a key from the environment."""
    st.cache_data.clear()
    package = find_spec("tollbook_dashboard")
    assert package is not None
    assert package.origin is not None

    def drawn(url: str, key: str = "") -> AppTest:
        monkeypatch.setenv("TOLLBOOK_URL", url)
        monkeypatch.setenv("TOLLBOOK_API_KEY", key)
        page = AppTest.from_file(Path(str(package.origin)).with_name("app.py"), default_timeout=30).run()
        assert not page.exception
        return page

    yield drawn
    st.cache_data.clear()


def words(page: AppTest) -> str:
    """Everything the page says in text."""
    elements = (*page.title, *page.subheader, *page.markdown, *page.caption, *page.code)
    return "\n".join(str(element.value) for element in elements)


# ── The figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_headline_adds_up_what_the_books_say(gateway: str, draw: Draw) -> None:
    page = draw(gateway, MASTER)
    booked = read_calls(gateway, MASTER).found

    figures = {metric.label: metric.value for metric in page.metric}
    assert figures["Calls"] == str(len(booked)) == "4"
    assert figures["Spend"] == dollars(sum(call["cost"]["nano_usd"] or 0 for call in booked))
    assert figures["Unpriced calls"] == "1"
    assert int(figures["Tokens"]) == sum(call["usage"]["input"] + call["usage"]["output"] for call in booked)


def test_each_table_names_its_own_and_an_unknown_cost_is_never_zero(gateway: str, draw: Draw) -> None:
    page = draw(gateway, MASTER)

    models, keys, users, latest = (frame.value for frame in page.dataframe)
    assert dict(zip(models["Name"], models["Calls"], strict=True)) == {
        "simulated/echo": 2,
        "simulated/story": 1,
        "mystery": 1,
    }
    assert models.set_index("Name")["Spend"]["mystery"] == "unpriced"
    assert list(keys["Name"]) == ["master"]
    assert keys["Spend"][0].endswith(" + 1 unpriced")
    assert set(users["Name"]) == {"ada", "grace", "not named"}
    assert list(latest["Model"]) == ["mystery", "simulated/story", "simulated/echo", "simulated/echo"]


def test_the_latest_calls_show_the_cost_of_the_books_digit_by_digit(gateway: str, draw: Draw) -> None:
    page = draw(gateway, MASTER)

    shown = page.dataframe[-1].value.set_index("Call")["Spend"].to_dict()
    for call in read_calls(gateway, MASTER).found:
        assert shown[call["id"]] == ("unpriced" if call["cost"]["usd"] is None else f"${call['cost']['usd']}")


@pytest.mark.parametrize("measure", ["Calls", "Tokens"])
@pytest.mark.parametrize("window", ["Hour", "Week", "All"])
def test_every_window_and_measure_can_be_drawn(gateway: str, draw: Draw, window: str, measure: str) -> None:
    page = draw(gateway, MASTER)
    page.button_group(key="window").set_value([window])
    page.button_group(key="measure").set_value([measure]).run()

    assert not page.exception
    assert page.metric[1].value == "4"


# ── The other states ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_gateway_shows_the_call_to_try(tmp_path: Path, draw: Draw) -> None:
    with served(tmp_path) as url:
        page = draw(url)

        assert "No calls yet" in words(page)
        assert f"curl {url}/v1/responses" in words(page)
        assert not page.metric


def test_a_gateway_that_is_down_is_said_with_the_command_that_starts_it(draw: Draw) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    page = draw(url)

    assert "The gateway does not answer" in words(page)
    assert url in words(page)
    assert "tollbook" in [code.value for code in page.code]


def test_a_wrong_key_is_said_in_the_gateway_s_words_and_a_right_one_mends_it(gateway: str, draw: Draw) -> None:
    page = draw(gateway, "sk-tb-wrong")
    assert "does not know this key" in words(page)
    assert "The API key is not valid" in words(page).replace("\\", "")

    page.text_input(key="key").set_value(MASTER).run()
    assert page.metric[1].value == "4"


def test_a_missing_key_is_asked_for(gateway: str, draw: Draw) -> None:
    assert "The gateway wants a key" in words(draw(gateway))


def test_the_environment_s_key_is_not_sent_to_the_browser(gateway: str, draw: Draw) -> None:
    page = draw(gateway, MASTER)

    assert page.text_input(key="key").value == ""
    assert MASTER not in words(page)


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"data": [{}], "has_more": false}'),
        (200, b'{"data": null, "has_more": true}'),
        (200, b""),
        (500, b'{"error": {"message": "inside"}}'),
        (302, b"{}"),
        (401, b'{"error": null}'),
    ],
)
def test_a_server_that_is_no_gateway_is_unreachable(status: int, body: bytes) -> None:
    with answering(status, body) as url, pytest.raises(Unreachable):
        read_calls(url, "")


def test_a_refusal_has_the_gateway_s_message() -> None:
    body = json.dumps({"error": {"message": "not you"}}).encode()
    with answering(403, body) as url, pytest.raises(Refused, match="not you"):
        read_calls(url, "sk-ключ")


def test_calls_are_read_page_by_page_and_not_beyond_the_limit(gateway: str) -> None:
    everything = read_calls(gateway, MASTER)
    some = read_calls(gateway, MASTER, most=2)

    assert not everything.more
    assert some.more
    assert some.found == everything.found[:2]
    assert read_calls(gateway, MASTER, since=everything.found[1]["started"]).found == everything.found[:2]


# ── Words ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("nano", "exact", "short"),
    [
        (0, "$0.00", "$0.00"),
        (1, "$0.000000001", "$0.000000001"),
        (21_250, "$0.00002125", "$0.00002125"),
        (500_000_000, "$0.50", "$0.50"),
        (1_234_500_000_000, "$1,234.50", "$1,234.50"),
        (1_005_000_000, "$1.005", "$1.01"),
        (2**63 - 1, "$9,223,372,036.854775807", "$9,223,372,036.85"),
        (-21_250, "-$0.00002125", "-$0.00002125"),
    ],
)
def test_money_is_exact_and_headlines_round_to_cents(nano: int, exact: str, short: str) -> None:
    assert (dollars(nano), short_dollars(nano)) == (exact, short)


def test_a_sum_says_what_it_leaves_out() -> None:
    assert cost(120_000_000, 4, 0) == "$0.12"
    assert cost(120_000_000, 4, 3) == "$0.12 + 3 unpriced"
    assert cost(0, 3, 3) == "unpriced"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (9_999, "9,999"), (20_168, "20.2 k"), (1_250_000, "1.25 M"), (3 * 10**9, "3 bn")]
)
def test_large_numbers_have_three_digits(number: int, text: str) -> None:
    assert short_number(number) == text
