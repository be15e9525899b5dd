"""`import tollbook` costs nothing, and nothing is loaded that a program does not use."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "litestar",
    "duckdb",
    "httpx",
    "aiohttp",
    "opentelemetry",
    "genai_prices",
    "pydantic",
    "yaml",
    "rich",
    "openai",
)


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_import_loads_none_of_the_large_libraries() -> None:
    loaded = run(f"import sys, tollbook; print(sorted(set({HEAVY!r}) & set(sys.modules)))")

    assert loaded == "[]"


def test_the_import_takes_less_than_a_third_of_a_second() -> None:
    script = "import time; began = time.perf_counter(); import tollbook; print(time.perf_counter() - began)"

    assert min(float(run(script)) for _ in range(3)) < 0.3


def test_the_import_starts_no_thread() -> None:
    assert run("import threading, tollbook; print(threading.active_count())") == "1"


def test_without_a_store_no_database_is_loaded_and_without_tracing_no_tracing() -> None:
    script = (
        "import sys, tollbook\n"
        "with tollbook.Router(store=None) as router:\n"
        "    assert router.responses('hi', 'simulated/echo').output_text\n"
        "heavy = ('duckdb', 'opentelemetry.sdk', 'opentelemetry.trace', 'litestar', 'openai')\n"
        "print(sorted(set(heavy) & set(sys.modules)))"
    )

    assert run(script) == "[]"


def test_the_function_of_that_name_survives_the_package_of_that_name() -> None:
    script = (
        "import tollbook, tollbook.responses.draft, tollbook.gateway\n"
        "from tollbook.responses.types import TERMINAL\n"
        "print(callable(tollbook.responses), len(TERMINAL))"
    )

    assert run(script) == "True 3"
