"""The overview: what was spent, on which models, by whom, and when.

gateway down     how to start it
key refused      where to put a right one
no calls yet     the call to try; the page looks for it by itself
calls            the figures
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import altair as alt
import polars as pl
import streamlit as st

from tollbook_analytics.calls import calls as calls_frame
from tollbook_analytics.calls import spend
from tollbook_dashboard.books import Calls, Refused, Unreachable, read_calls
from tollbook_dashboard.words import cost, dollars, short_dollars, short_number

ICON = Path(__file__).with_name("icon.svg")


class Window(NamedTuple):
    """A time to look at."""

    reach: timedelta | None
    """How far back; None is everything."""
    bar: str
    """The width of a bar, as Polars writes it."""
    label: str
    """How the axis names moments, as d3-time-format writes it."""


WINDOWS = {
    "Hour": Window(timedelta(hours=1), "1m", "%H:%M"),
    "Day": Window(timedelta(days=1), "30m", "%H:%M"),
    "Week": Window(timedelta(days=7), "6h", "%b %d"),
    "Month": Window(timedelta(days=30), "1d", "%b %d"),
    "All": Window(None, "1d", "%Y-%m-%d"),
}

_FRESH = 10
"""Seconds for which an answer of the gateway is used again, whatever is clicked."""


@st.cache_data(ttl=_FRESH, max_entries=16, show_spinner="Reading the books …")
def _read(url: str, key: str, window: str) -> Calls:
    reach = WINDOWS[window].reach
    since = (datetime.now(UTC) - reach).strftime("%Y-%m-%dT%H:%M:%S") if reach else ""
    return read_calls(url, key, since=since)


def main() -> None:
    """Draw the page."""
    st.set_page_config("Tollbook", str(ICON), layout="wide", initial_sidebar_state="auto")
    url = os.environ.get("TOLLBOOK_URL", "http://127.0.0.1:4000").rstrip("/")
    key = _sidebar(url)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Overview", anchor=False, width="content")
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            window = st.segmented_control(
                "Time", list(WINDOWS), default="Day", required=True, label_visibility="collapsed", key="window"
            )
            if st.button("Refresh", icon=":material/refresh:"):
                _read.clear()
    try:
        told = _read(url, key, str(window))
        if not told.found and not read_calls(url, key, most=1).found:
            _no_calls(url, key)
            return
    except Unreachable as failure:
        _no_gateway(url, str(failure))
    except Refused as refusal:
        _no_entry(str(refusal), given=bool(key))
    else:
        _figures(told, str(window))


def _sidebar(url: str) -> str:
    """The key to read with: typed here, else the environment's, which never leaves this process."""
    from_environment = os.environ.get("TOLLBOOK_API_KEY", "")
    with st.sidebar:
        st.subheader("Tollbook", anchor=False)
        typed = st.text_input(
            "Key",
            type="password",
            key="key",
            placeholder="from TOLLBOOK_API_KEY" if from_environment else "sk-tb-…",
            help="A key sees its own calls, the master key sees all. A gateway without a master key needs none.",
        )
        st.caption("Gateway")
        st.code(url, language=None)
    return typed.strip() or from_environment


# ── When there is nothing to show ───────────────────────────────────────────────────────────────────────────────────────


def _no_gateway(url: str, failure: str) -> None:
    with st.container(border=True):
        st.subheader("The gateway does not answer", anchor=False)
        st.markdown(f"Asked at `{url}`: {_plain(failure)}. Start it, then refresh:")
        st.code("tollbook", language="bash")
        st.caption("If it runs elsewhere: `tollbook dashboard --url http://…`, or the variable `TOLLBOOK_URL`.")


def _no_entry(message: str, *, given: bool) -> None:
    with st.container(border=True):
        st.subheader("The gateway does not know this key" if given else "The gateway wants a key", anchor=False)
        st.markdown(f"It says: *{_plain(message)}*")
        st.markdown("Put another one into the sidebar. On the gateway’s machine, this makes one:")
        st.code("tollbook keys create me", language="bash")


@st.fragment(run_every=3)
def _no_calls(url: str, key: str) -> None:
    """The call to try; when it was made, the page is drawn anew."""
    with st.container(border=True):
        st.subheader("No calls yet", anchor=False)
        st.markdown("Make the first one. It needs no provider and no account, and appears here by itself:")
        st.code(
            f"curl {url}/v1/responses \\\n"
            '  -H "Authorization: Bearer $TOLLBOOK_API_KEY" \\\n'
            '  -H "Content-Type: application/json" \\\n'
            '  -d \'{"model": "simulated/echo", "input": "Hello!"}\'',
            language="bash",
        )
    try:
        arrived = bool(read_calls(url, key, most=1).found)
    except (Unreachable, Refused):
        arrived = True
    if arrived:
        _read.clear()
        st.rerun()


def _plain(text: str) -> str:
    """Text from elsewhere without a meaning in Markdown."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>()#+-!|~$:" else letter for letter in text)


# ── The figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _figures(told: Calls, window: str) -> None:
    made = calls_frame(told.found).filter(pl.col("operation") == "create")
    (total,) = spend(made).collect().to_dicts()
    _headline(total)
    if not total["calls"]:
        st.info("No responses were made in this time. Choose a longer one above.", icon=":material/schedule:")
        return
    _over_time(made, window)
    for place, (column, nobody) in zip(
        st.tabs(["Models", "Keys", "End users"]),
        (("model", "none named"), ("key", "without a key"), ("end_user", "not named")),
        strict=True,
    ):
        with place:
            _table(spend(made, column).collect(), column, nobody)
    st.subheader("Latest calls", anchor=False)
    _latest(made)
    if told.more:
        st.caption(f"These are the newest {len(told.found):,} entries; older ones of this time are not counted.")


def _headline(total: dict[str, int]) -> None:
    unknown = bool(total["calls"]) and total["unpriced"] == total["calls"]
    figures = (
        (
            "Spend",
            "unpriced" if unknown else short_dollars(total["cost_nano"]),
            "" if unknown else f"Exactly {_plain(dollars(total['cost_nano']))}, of calls with a known price",
        ),
        ("Calls", f"{total['calls']:,}", f"{total['failed']:,} of them gave no answer"),
        (
            "Tokens",
            short_number(total["input_tokens"] + total["output_tokens"]),
            f"{total['input_tokens']:,} in, {total['output_tokens']:,} out",
        ),
        (
            "Unpriced calls",
            f"{total['unpriced']:,}",
            "Their cost is unknown, and is not in the spend. `tollbook check` says which models have no price.",
        ),
    )
    with st.container(horizontal=True):
        for label, value, words in figures:
            st.metric(label, value, help=words or None, border=True, width="stretch", height="stretch")


_MEASURES = {
    "Spend": ("usd", "USD", "$,.6~g"),
    "Calls": ("calls", "calls", ",~r"),
    "Tokens": ("tokens", "tokens", "~s"),
}
_MOST_COLOURS = 5
_MOST_ROWS = 100
_WHOLE = st.column_config.NumberColumn(format="localized")


def _over_time(made: pl.LazyFrame, window: str) -> None:
    measure = st.segmented_control(
        "Chart", list(_MEASURES), default="Spend", required=True, label_visibility="collapsed", key="measure"
    )
    # A run that a quick second click interrupts leaves no choice behind for a moment.
    column, unit, form = _MEASURES[measure or "Spend"]
    reach, width, label = WINDOWS[window]
    dearest = spend(made, "model").head(_MOST_COLOURS).collect()["model"].to_list()
    named = pl.col("model").fill_null("none named")
    bars = (
        spend(
            made.with_columns(
                pl.col("started").dt.truncate(width).alias("from"),
                pl.when(pl.col("model").is_in(dearest)).then(named).otherwise(pl.lit("others")).alias("model"),
            ),
            "from",
            "model",
        )
        .with_columns(
            pl.col("from").dt.offset_by(width).alias("to"),
            (pl.col("cost_nano") / 1e9).alias("usd"),
            (pl.col("input_tokens") + pl.col("output_tokens")).alias("tokens"),
        )
        .collect()
        .with_columns(
            pl.struct("cost_nano", "calls", "unpriced")
            .map_elements(lambda row: cost(row["cost_nano"], row["calls"], row["unpriced"]), return_dtype=pl.String)
            .alias("cost")
        )
    )
    if reach:
        # Bars without height at both ends: the axis shows the whole time, however little of it was used.
        now = datetime.now(UTC)
        ends = [{"from": moment, "to": moment, "model": bars["model"][0], column: 0} for moment in (now - reach, now)]
        schema = {name: bars.schema[name] for name in ("from", "to", "model", column)}
        bars = pl.concat([bars, pl.DataFrame(ends, schema=schema)], how="diagonal")
    chart = (
        alt.Chart(bars.drop("cost_nano"))
        .mark_bar(clip=True)
        .encode(
            x=alt.X(
                "from:T",
                title="UTC",
                scale=alt.Scale(type="utc"),
                axis=alt.Axis(grid=False, labelOverlap=True, tickCount=8, format=label),
            ),
            x2="to:T",
            y=alt.Y(f"sum({column}):Q", title=unit, axis=alt.Axis(tickCount=4, format=form)),
            color=alt.Color("model:N", title=None, legend=alt.Legend(orient="top", columns=4)),
            tooltip=[
                alt.Tooltip("model:N", title="Model"),
                alt.Tooltip("utcyearmonthdatehoursminutes(from):T", title="From (UTC)"),
                alt.Tooltip("calls:Q", title="Calls", format=","),
                alt.Tooltip("tokens:Q", title="Tokens", format=","),
                alt.Tooltip("cost:N", title="Spend"),
            ],
        )
        .properties(height=300)
    )
    st.altair_chart(chart, width="stretch", alt=f"{measure} over time, by model")


def _table(rows: pl.DataFrame, column: str, nobody: str) -> None:
    shown = [
        {
            "Name": row[column] or nobody,
            "Spend": cost(row["cost_nano"], row["calls"], row["unpriced"]),
            "Calls": row["calls"],
            "Failed": row["failed"],
            "Tokens in": row["input_tokens"],
            "Tokens out": row["output_tokens"],
        }
        for row in rows.head(_MOST_ROWS).iter_rows(named=True)
    ]
    st.dataframe(
        shown,
        hide_index=True,
        height="content" if len(shown) <= 10 else 380,
        column_config={
            "Name": st.column_config.TextColumn(width="large"),
            "Spend": st.column_config.TextColumn(alignment="right"),
            **dict.fromkeys(("Calls", "Failed", "Tokens in", "Tokens out"), _WHOLE),
        },
    )
    if len(rows) > len(shown):
        st.caption(f"and {len(rows) - len(shown):,} more")


def _latest(made: pl.LazyFrame) -> None:
    st.dataframe(
        [
            {
                "Started (UTC)": f"{row['started']:%Y-%m-%d %H:%M:%S}",
                "Model": row["model"] or "",
                "Key": row["key"] or "",
                "End user": row["end_user"] or "",
                "Outcome": row["outcome"],
                "Tokens in": row["input_tokens"],
                "Tokens out": row["output_tokens"],
                "Spend": cost(row["cost_nano"] or 0, 1, int(row["cost_status"] == "unpriced")),
                "Seconds": (row["ended"] - row["started"]).total_seconds() if row["ended"] else None,
                "Call": row["id"],
            }
            for row in made.head(20).collect().iter_rows(named=True)
        ],
        hide_index=True,
        height="content",
        column_config={
            "Tokens in": _WHOLE,
            "Tokens out": _WHOLE,
            "Spend": st.column_config.TextColumn(alignment="right"),
            "Seconds": st.column_config.NumberColumn(format="%.3f"),
            "Call": st.column_config.TextColumn(help="Its whole story: GET /v1/calls/{id}"),
        },
    )


if __name__ == "__main__":
    main()
