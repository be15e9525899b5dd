"""`tollbook report`: from options to a question, from a question to what is printed."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import polars as pl

from tollbook.commands.configured import configured
from tollbook.commands.terminal import complain, note, say
from tollbook.commands.terminal import table as draw
from tollbook.errors import ConfigError

from . import rates, shown, source
from .budgets import BUDGETS
from .dimensions import Filters
from .errors import ReportError
from .prices import STATEMENT
from .reports import REPORTS, Question, Report, named
from .whatif import RATES, Cache, Plan, Swap
from .window import Window

_FILTERS = ("key", "team", "end_user", "model", "provider", "deployment", "tag", "session", "outcome")


def run(args: Namespace, environment: Mapping[str, str]) -> int:
    """Prints the report; answers the exit code: 0 done, 1 not possible, 2 misused."""
    if args.name == "list":
        draw(
            ("Report", "What it tells", "Heeds"), [(name, each.summary, _heeds(each)) for name, each in REPORTS.items()]
        )
        return 0
    try:
        report = named(args.name)
        question = _question(args, datetime.now(UTC))
        _heeded(args, report)
    except ReportError as error:
        complain(error.message)
        return 2
    filters = Filters(**{name: tuple(getattr(args, name)) for name in _FILTERS})
    books = _books(args, environment, report.reach(question))
    made = report.make(filters.of(books), question)
    _tell(args, question, report, made)
    return 0


def _heeds(report: Report) -> str:
    return ", ".join(sorted(report.heeds - {"window", "plan", "limits", "rates", "statement", "session"}))


def _heeded(args: Namespace, report: Report) -> None:
    """Raises ReportError for an option that would change nothing."""
    given = {"by": bool(args.by), "every": args.every is not None, "top": args.top is not None}
    deaf = [f"--{name}" for name, there in given.items() if there and name not in report.heeds]
    if deaf:
        raise ReportError(f"{args.name} does not heed {', '.join(deaf)}")


def _question(args: Namespace, now: datetime) -> Question:
    window = (
        Window.between(args.since, args.until, now, args.zone)
        if args.since
        else Window.named(args.window, now, args.zone)
    )
    if args.until and not args.since:
        raise ReportError("--until needs --since: from when?")
    plan = _plan(args)
    return Question(
        now=now,
        window=window,
        by=tuple(name.strip().replace("-", "_") for each in args.by for name in each.split(",") if name.strip()),
        every=args.every,
        top=args.top,
        session=args.session[0] if args.session else "",
        limits=_read(args.budgets, BUDGETS) if args.budgets else None,
        statement=_read(args.statement, STATEMENT) if args.statement else None,
        rates=_rates(args, plan) if plan else None,
        plan=plan,
    )


def _plan(args: Namespace) -> Plan | None:
    swaps = []
    for text in args.swap:
        model, equals, other = text.partition("=")
        to, _, tier = other.partition("@")
        if not equals or not model or not to:
            raise ReportError(f"--swap {text!r} does not say what goes where: such as gpt=openai/gpt-5-mini")
        if args.cache not in get_args(Cache):
            raise ReportError(f"there is no cache {args.cache!r}")
        swaps.append(
            Swap(
                None if model == "*" else model,
                to,
                tier or None,
                input_percent=args.input_percent,
                output_percent=args.output_percent,
                cache=args.cache,
            )
        )
    return Plan(tuple(swaps)) if swaps else None


def _rates(args: Namespace, plan: Plan) -> pl.DataFrame:
    if args.rates:
        return _read(args.rates, RATES)
    from tollbook.pricing.book import PriceBook

    return rates.from_book(PriceBook(), [swap.to for swap in plan.swaps])


def _read(path: Path, columns: Mapping[str, Any]) -> pl.DataFrame:
    """A table of these columns, from a file whose name says what it is. Other columns are passed over."""
    try:
        match path.suffix.lower():
            case ".csv":
                found = pl.read_csv(path, try_parse_dates=True)
            case ".json":
                found = pl.read_json(path)
            case ".parquet":
                found = pl.read_parquet(path)
            case _:
                raise ReportError(f"{path} is not called .csv, .json or .parquet")
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"{path} cannot be read: {error}") from error
    return found.select(name for name in columns if name in found.columns)


def _books(args: Namespace, environment: Mapping[str, str], window: Window) -> pl.LazyFrame:
    """The ledger of the time that the report needs, from where the options say."""
    if args.source:
        return source.from_parquet(args.source)
    if args.url:
        return source.from_gateway(args.url, environment.get("TOLLBOOK_API_KEY", ""), window)
    args.config = None
    try:
        return source.from_directory(configured(args).data_dir, window)
    except ConfigError as error:
        raise ReportError(f"{error.message} If a gateway has them open, ask it: --url http://127.0.0.1:4000") from error


def _tell(args: Namespace, question: Question, report: Report, made: pl.DataFrame) -> None:
    assumed = report.assumes(question)
    if args.json:
        window = {
            "start": question.window.start.isoformat(),
            "end": question.window.end.isoformat(),
            "zone": question.zone,
        }
        head: dict[str, Any] = {"report": args.name, "window": window, "assumptions": list(assumed)}
        say(shown.to_json(head | ({"columns": dict(shown.explained(made))} if args.explain else {}), made))
        return
    if args.csv:
        say(shown.to_csv(made).removesuffix("\n"))
    elif args.parquet:
        try:
            made.write_parquet(args.parquet)
        except OSError as error:
            raise ReportError(f"{args.parquet} cannot be written: {error.strerror or error}") from error
        note(f"{made.height:,} rows in {args.parquet}")
    elif made.is_empty():
        note("nothing to tell in this time")
    else:
        heads, rows, numbers = shown.table(made, question.every)
        draw(heads, rows, numbers=numbers)
    sys.stdout.flush()
    for each in assumed:
        note(f"assumed: {each}")
    if args.explain:
        for name, words in shown.explained(made):
            note(f"{name}: {words}")
