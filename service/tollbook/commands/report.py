"""tollbook report: what the books say, as a table, JSON, CSV or Parquet."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from .terminal import complain

HELP = "print a report: spend, cache, waste, latency, forecast, anomalies and more"

_EXAMPLES = """\
examples:
  tollbook report list
  tollbook report overview
  tollbook report spend --by key,model --every day --window month --zone Europe/Berlin
  tollbook report waste --since 2026-11-01 --until 2026-11-15 --json
  tollbook report what-if --swap gpt=openai/gpt-5-mini --cache full
"""

MISSING = 'reports are not installed. Install them with: pip install "tollbook[analytics]"'

ENTRY = "tollbook_analytics.command"
"""Reports are a package of their own above this one, which nothing here may import: it is called by name when it is there."""

FILTERS = ("key", "team", "end-user", "model", "provider", "deployment", "tag", "session", "outcome")


def arguments(parser: ArgumentParser) -> None:
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("name", metavar="NAME", help="the report; `list` shows all of them")
    parser.add_argument("--explain", action="store_true", help="say how each number was computed")

    time = parser.add_argument_group("time")
    time.add_argument(
        "--window",
        metavar="NAME",
        default="30d",
        help="today, yesterday, month (to date), last-month, or such as 7d and 24h (default: %(default)s)",
    )
    time.add_argument("--since", metavar="WHEN", default="", help="a date or time, in place of --window")
    time.add_argument(
        "--until", metavar="WHEN", default="", help="not included; a date is its first moment (default: now)"
    )
    time.add_argument("--zone", default="UTC", help="whose days and months count, such as Europe/Berlin (default: UTC)")
    time.add_argument("--every", choices=["hour", "day", "week", "month"], help="one row for each")

    rows = parser.add_argument_group("rows")
    rows.add_argument(
        "--by", action="append", default=[], metavar="NAME", help="what to tell apart; several with commas"
    )
    rows.add_argument("--top", type=int, metavar="N", help="the dearest so many; the rest is one row")
    for name in FILTERS:
        words = 'only these; repeat for more, "" for calls without one' if name == "key" else "likewise"
        rows.add_argument(f"--{name}", action="append", default=[], metavar="NAME", help=words)

    form = parser.add_argument_group("form").add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as one JSON object; money in integer nano-USD")
    form.add_argument("--csv", action="store_true", help="as CSV; money in integer nano-USD")
    form.add_argument("--parquet", type=Path, metavar="FILE", help="into a Parquet file")

    books = parser.add_argument_group("where the books are").add_mutually_exclusive_group()
    books.add_argument("--source", type=Path, metavar="PATH", help="a Parquet file, or a folder of them")
    books.add_argument(
        "--url",
        metavar="URL",
        help="a running gateway; its key is read from $TOLLBOOK_API_KEY, never from the command line, which others can see",
    )
    books.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="the books of a gateway that is not running (default: $TOLLBOOK_DATA_DIR, else ./tollbook-data)",
    )

    more = parser.add_argument_group("what some reports need (tables as CSV, JSON or Parquet)")
    more.add_argument("--budgets", type=Path, metavar="FILE", help="name, scope, subject, limit_nano, window")
    more.add_argument(
        "--statement", type=Path, metavar="FILE", help="a provider's bill: date, cost_nano, provider, model"
    )
    more.add_argument(
        "--rates", type=Path, metavar="FILE", help="rates in pico-USD per token (default: the price catalogue)"
    )
    more.add_argument(
        "--swap",
        action="append",
        default=[],
        metavar="MODEL=OTHER[@TIER]",
        help='traffic of a model (* for all others) that goes to another, such as "gpt=openai/gpt-5-mini@flex"',
    )
    more.add_argument("--cache", choices=["same", "none", "full"], default="same", help="how the other model is cached")
    for kind in ("input", "output"):
        more.add_argument(
            f"--{kind}-percent",
            type=int,
            default=100,
            metavar="N",
            help=f"{kind} tokens of the other for 100 of this one",
        )


def run(args: Namespace) -> int:
    if find_spec(ENTRY.partition(".")[0]) is None or find_spec("polars") is None:
        complain(MISSING)
        return 1
    code: int = import_module(ENTRY).run(args, os.environ)
    return code
