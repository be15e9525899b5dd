"""Reports over what a gateway has booked: pure functions from a Polars LazyFrame to a DataFrame.

    import polars as pl
    from tollbook_analytics import Window, ledger, spend

    books = ledger(pl.scan_parquet("books/*.parquet"))
    spend(books, Window.named("30d", now, "Europe/Berlin"), by=["key"], every="day")

ledger.py         the frame they read: one row for each attempt
window.py         a stretch of time, its hours, days, weeks and months in a zone, the equal period before it
dimensions.py     by what spend can be told, and filters
totals.py         adding up, exactly: what every report of sums is made of
rollup.py         hours of the ledger that many reports can be made of instead
reports.py        all reports by name, for the command line and for pages
"""

from __future__ import annotations

from .anomalies import anomalies
from .budgets import budgets, burn_down
from .cache import Missed, cache
from .conversations import conversation, conversations, turns
from .dimensions import DIMENSIONS, Filters
from .economics import economics
from .errors import NotALedger, Overflow, ReportError, TooCoarse
from .forecast import forecast, month_end
from .latency import latency, latency_bands, latency_cost
from .ledger import LEDGER, ledger
from .overview import overview, run_rate
from .prices import drift, reconcile, unpriced, versions
from .reliability import errors, reliability
from .spend import spend
from .tokens import tokens
from .waste import waste
from .whatif import Plan, Swap, what_if
from .window import Window

__all__ = [
    "DIMENSIONS",
    "LEDGER",
    "Filters",
    "Missed",
    "NotALedger",
    "Overflow",
    "Plan",
    "ReportError",
    "Swap",
    "TooCoarse",
    "Window",
    "anomalies",
    "budgets",
    "burn_down",
    "cache",
    "conversation",
    "conversations",
    "drift",
    "economics",
    "errors",
    "forecast",
    "latency",
    "latency_bands",
    "latency_cost",
    "ledger",
    "month_end",
    "overview",
    "reconcile",
    "reliability",
    "run_rate",
    "spend",
    "tokens",
    "turns",
    "unpriced",
    "versions",
    "waste",
    "what_if",
]
