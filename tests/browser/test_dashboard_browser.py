"""The dashboard in a real Chromium: it says nothing to the console, and no request leaves the machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.serving import environment, free_port, respond, served, wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("gateway")) as url:
        yield url


@pytest.fixture(scope="module")
def dashboard(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("dashboard"), free_port()
    command = [sys.executable, "-m", "tollbook", "dashboard", "--port", str(port), "--url", gateway]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment(), cwd=folder)
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def watched(page: Page, own: str) -> list[str]:
    """Everything that should not happen on the page, as it happens."""
    wrong: list[str] = []
    page.on("console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))

    def look(url: str) -> None:
        place = urlsplit(url)
        if place.scheme not in ("data", "blob") and place.netloc != urlsplit(own).netloc:
            wrong.append(f"foreign: {url}")

    page.on("request", lambda request: look(request.url))
    page.on("websocket", lambda socket: look(socket.url))
    return wrong


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_call_appears_by_itself_and_nothing_goes_wrong(
    browser: Browser, gateway: str, dashboard: str, scheme: str, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1000}, color_scheme=scheme)
    wrong = watched(page, dashboard)
    page.goto(dashboard)
    if scheme == "light":
        expect(page.get_by_text("No calls yet")).to_be_visible(timeout=20_000)
        expect(page.get_by_text(f"{gateway}/v1/responses")).to_be_visible()
        respond(gateway, user="ada")

    expect(page.get_by_test_id("stMetricValue").first).to_have_text("$0.00002125", timeout=20_000)
    expect(page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first).to_be_visible()
    page.get_by_role("tab", name="End users").click()
    page.get_by_role("radio", name="Week").or_(page.get_by_role("button", name="Week")).first.click()
    expect(page.get_by_text("Latest calls")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_text("Latest calls")).to_be_visible(timeout=20_000)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=tmp_path / "page.png")
    page.close()

    assert wrong == []
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_a_wrong_key_is_answered_on_the_page(browser: Browser, dashboard: str) -> None:
    page = browser.new_page()
    wrong = watched(page, dashboard)
    page.goto(dashboard)
    page.get_by_role("textbox", name="Key").fill("sk-tb-wrong")
    page.keyboard.press("Enter")

    expect(page.get_by_text("The gateway does not know this key")).to_be_visible(timeout=20_000)
    page.close()
    assert wrong == []


def test_a_page_under_a_foreign_name_is_not_served(browser: Browser, dashboard: str) -> None:
    """DNS rebinding: a name of somebody else's that leads to this machine reads nothing."""
    port = urlsplit(dashboard).port
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    arguments += [f"--host-resolver-rules=MAP evil.example 127.0.0.1:{port}"]
    with_rules = browser.browser_type.launch(executable_path=CHROMIUM, args=arguments)
    page = with_rules.new_page()
    page.goto(f"http://evil.example:{port}")
    page.wait_for_timeout(3000)

    assert page.get_by_text("Overview").count() == 0
    with_rules.close()
