"""tollbook prices: what models cost, by whose word, since when; and your own prices. A running gateway sees a change within a
second. Prices are in USD for a million tokens, as price lists are published."""

from __future__ import annotations

import getpass
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tollbook.errors import ConfigError, Conflict

from .configured import config_argument, configured, data_dir_argument
from .terminal import note, say

if TYPE_CHECKING:
    from tollbook.config import Config, PriceEntry
    from tollbook.pricing import PriceBook
    from tollbook.pricing.own import OwnPrice
    from tollbook.storage.prices import PriceTable

HELP = "list, set and compare prices"

_PER_MILLION = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
}
"""Options of `set` in USD per million tokens, and the keys they stand for."""

_TERMS = {
    "uplift": "a surcharge on tokens, as a share: 0.10 is ten percent",
    "discount": "what the provider takes off, as a share",
    "margin": "what you take on top, as a share; told apart from the cost",
    "margin_per_call": "the same in USD for each call that is answered",
}


def arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")

    show = verbs.add_parser("list", help="show the prices of your models, or of any")
    _filters(show)
    show.add_argument(
        "--at", type=_moment, metavar="WHEN", help="prices of that time, such as 2026-01-31 (default: now)"
    )
    show.add_argument("--own", action="store_true", help="show your own price list instead, with the numbers for unset")
    show.add_argument("--fail", action="store_true", help="exit with 1 when one of your models has no price")

    change = verbs.add_parser(
        "set",
        help="say what a model costs, from a time on",
        description="Adds to your own price list, which comes before the catalogue's. Nothing is overwritten: the price with the "
        "newest beginning counts.",
    )
    change.add_argument("model", help="provider/model, in which * stands for anything, or * for all")
    for name in _PER_MILLION:
        words = f"USD per million tokens ({name.replace('_', ' ')})"
        change.add_argument(f"--{name.replace('_', '-')}", metavar="USD", help=words)
    change.add_argument(
        "--price",
        dest="more",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other price by its key in config.yaml, such as web_search_cost_per_call=0.01; repeat for more",
    )
    for name, words in _TERMS.items():
        change.add_argument(f"--{name.replace('_', '-')}", metavar="USD" if "per" in name else "SHARE", help=words)
    change.add_argument("--from", dest="start", type=_moment, metavar="WHEN", help="when it begins (default: now)")
    change.add_argument(
        "--until", dest="end", type=_moment, metavar="WHEN", help="when it no longer holds (default: for good)"
    )
    change.add_argument("--tier", help="only in this service tier, such as flex, priority or batch")
    change.add_argument("--note", default="", help="a word for people")
    change.add_argument("--dry-run", action="store_true", help="check and show it, and write nothing")

    end = verbs.add_parser("unset", help="end one of your own prices")
    end.add_argument("number", type=_number, help="its number, see tollbook prices list --own")
    ends = end.add_mutually_exclusive_group()
    ends.add_argument("--at", type=_moment, metavar="WHEN", help="from when on it no longer holds (default: now)")
    ends.add_argument("--always", action="store_true", help="it was a mistake: as if it had never held")
    end.add_argument("--note", default="", help="a word for people")

    differ = verbs.add_parser(
        "diff",
        help="which models got dearer or cheaper",
        description="Without --from and --to: the installed price catalogue against the one that the gateway last started with.",
    )
    _filters(differ)
    differ.add_argument(
        "--from", dest="old", metavar="WHAT", help="a time, such as 2026-01-31, or a catalogue's release"
    )
    differ.add_argument("--to", dest="new", metavar="WHAT", help="the same (default: now, or what is installed)")
    differ.add_argument("--fail", action="store_true", help="exit with 1 when something got dearer")

    old = verbs.add_parser("stale", help="prices that somebody should look at, and models without one")
    old.add_argument("--days", type=_days, default=90, metavar="N", help="how old is old (default: %(default)s)")
    old.add_argument("--json", action="store_true", help="for programs")
    old.add_argument("--fail", action="store_true", help="exit with 1 when there is something to look at")

    for verb in (show, change, end, differ, old):
        config_argument(verb)
        data_dir_argument(verb)


def _filters(parser: ArgumentParser) -> None:
    parser.add_argument("--model", metavar="PATTERN", help="models of the catalogue, too: gpt-5*, anthropic/claude-*")
    parser.add_argument("--provider", metavar="NAME", help="models of this provider, the catalogue's, too")
    parser.add_argument("--all", action="store_true", help="every model of the catalogue")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: Namespace) -> int:
    config = configured(args)
    if args.verb == "set":
        return _set(args, config)
    if args.verb == "unset":
        return _unset(args, config)
    from . import price_tables

    with price_book(config) as (book, table):
        match args.verb:
            case "list" if args.own:
                return price_tables.own(args, book)
            case "list":
                return price_tables.listing(args, config, book)
            case "diff":
                return price_tables.diff(args, config, book)
            case _:
                return price_tables.stale(args, config, book, table is not None)


@contextmanager
def price_book(config: Config) -> Iterator[tuple[PriceBook, PriceTable | None]]:
    """The book as a gateway would have it, and its table if there is one. Looking makes no file."""
    from tollbook.pricing import PriceBook
    from tollbook.storage.prices import FILE, PriceTable

    table = PriceTable(config.data_dir) if (config.data_dir / FILE).exists() else None
    book = PriceBook(table=table)
    try:
        book.warm(prices=config.prices)
        yield book, table
    finally:
        book.close()
        if table is not None:
            table.close()


def _set(args: Namespace, config: Config) -> int:
    from tollbook.config.price_list import clash, doubts
    from tollbook.pricing.own import OwnPrice, from_rows, said
    from tollbook.storage.prices import PriceTable

    entry = _entry(args)
    OwnPrice(entry)  # raises what cannot be applied
    replaced: list[OwnPrice] = []

    def check(rows: Sequence[Any]) -> None:
        for other in [*(OwnPrice(one) for one in config.prices), *from_rows(rows)]:
            how = clash(other.entry, entry)
            if how.startswith("begin") or (not how and _takes_over(entry, other.entry)):
                replaced.append(other)  # the newer one counts
            elif how:
                raise Conflict(
                    f"It contradicts {other.version} ({other.entry.model}): they {how}.", code="price_conflict"
                )

    for doubt in doubts([entry], time.time_ns()):
        note(f"look twice: {doubt}")
    row = {
        "model": entry.model,
        "tier": entry.tier,
        "valid_from": entry.valid_from,
        "valid_until": entry.valid_until,
        "note": entry.note,
        "said": said(entry),
    }
    table = PriceTable(config.data_dir)
    try:
        if args.dry_run:
            check(table.rows())
            say(f"would set {_told(entry)}")
        else:
            written = table.set(row, actor=_actor(), check=check)
            say(f"own {written['number']}: {_told(entry)}")
    finally:
        table.close()
    for other in replaced:
        note(f"from then on it counts instead of {other.version} ({other.entry.model})")
    if entry.valid_from is not None and entry.valid_from < time.time_ns() - 60 * 10**9:
        note("calls that are in the books already keep their cost")
    return 0


def _takes_over(entry: PriceEntry, other: PriceEntry) -> bool:
    """Whether an entry counts where another one did."""
    if (entry.model, entry.tier) != (other.model, other.tier) or not entry.says & other.says:
        return False
    start = entry.valid_from or 0
    return (other.valid_from or 0) <= start and (other.valid_until is None or other.valid_until > start)


def _entry(args: Namespace) -> PriceEntry:
    """What the options say. Raises ConfigError naming the one that is wrong."""
    from tollbook.config import PriceEntry, Terms, prices
    from tollbook.config.price_list import check_pattern, read_term, show_moment

    found: dict[str, Any] = {}
    for name, key in _PER_MILLION.items():
        if (given := getattr(args, name)) is not None:
            found[key] = _per_token(name, given)
    terms = {
        name: _checked(name, read_term, name, given) for name in _TERMS if (given := getattr(args, name)) is not None
    }
    for pair in args.more:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"{pair!r}: write a price as KEY=VALUE.")
        if key == prices.CURRENCY and value.upper() != "USD":
            raise ConfigError(f"{key}: prices are in USD; convert them.", param=key)
        if key == prices.RULE:
            if value not in ("whole", "marginal"):
                raise ConfigError(f"{key} must be whole or marginal.", param=key)
            found[key] = value
        elif key != prices.CURRENCY:
            if prices.read_key(key) is None:
                raise ConfigError(f"{key} is not a price that can be applied.{prices.nearest(key)}", param=key)
            if key in found:
                raise ConfigError(f"{key} is given twice.", param=key)
            found[key] = f"{_checked(key, prices.read_price, key, value):f}"
    if not found and not terms:
        raise ConfigError(
            "Say at least one price, or one of " + ", ".join(f"--{n.replace('_', '-')}" for n in _TERMS) + "."
        )
    if missing := prices.missing(found):
        raise ConfigError(f"A price list stands alone: {' and '.join(missing)} must be said, too.", param=missing[0])
    tier = prices.special(args.tier) if args.tier else None
    if args.tier and tier is None:
        raise ConfigError("--tier: the standard tier has no name here; leave it out.", param="tier")
    if tier and (named := [key for key in found if (read := prices.read_key(key)) and read.tier]):
        raise ConfigError(f"{named[0]} names a service tier, and --tier does, too.", param=named[0])
    start = args.start if args.start is not None else time.time_ns() // 10**9 * 10**9
    if args.end is not None and args.end <= start:
        raise ConfigError(
            f"--until {show_moment(args.end)} is not after its beginning, {show_moment(start)}.", param="until"
        )
    return PriceEntry(
        model=_checked("model", check_pattern, args.model),
        valid_from=start,
        valid_until=args.end,
        tier=tier,
        prices=found,
        terms=Terms(**terms),
        note=args.note.strip(),
    )


def _per_token(name: str, text: str) -> str:
    """USD per million tokens as USD per token, exactly."""
    from tollbook.config import prices

    usd = _checked(name, prices.read_number, text, "a number of USD per million tokens")
    most = prices.TOKEN_PRICES[_PER_MILLION[name]].most.scaleb(6)
    if usd > most:
        raise ConfigError(f"{name}: nobody charges more than {most:f} USD per million tokens.", param=name)
    return f"{usd.scaleb(-6):f}"


def _checked(name: str, read: Any, *values: Any) -> Any:
    try:
        return read(*values)
    except ValueError as wrong:
        raise ConfigError(f"{name}: {wrong}.", param=name) from None


def _told(entry: PriceEntry) -> str:
    from tollbook.config.price_list import show_moment
    from tollbook.pricing.own import said

    parts = [f"{key}={value}" for key, value in said(entry).items()]
    until = f" until {show_moment(entry.valid_until)}" if entry.valid_until is not None else ""
    tier = f" in {entry.tier}" if entry.tier else ""
    return f"{entry.model}{tier} from {show_moment(entry.valid_from or 0)}{until}: {', '.join(parts)}"


def _unset(args: Namespace, config: Config) -> int:
    from tollbook.config.price_list import show_moment
    from tollbook.storage.prices import PriceTable

    at = None if args.always else args.at if args.at is not None else time.time_ns() // 10**9 * 10**9
    table = PriceTable(config.data_dir)
    try:
        row = table.end(args.number, at, actor=_actor(), note=args.note.strip())
    finally:
        table.close()
    say(f"own {args.number} {'never held' if args.always else 'ends ' + show_moment(row['valid_until'])}")
    return 0


def _moment(text: str) -> int:
    from tollbook.config.price_list import read_moment

    try:
        return read_moment(text)
    except ValueError as wrong:
        raise ArgumentTypeError(str(wrong)) from None


def _number(text: str) -> int:
    digits = text.removeprefix("own").strip()
    if not digits.isdecimal() or not 0 < int(digits) < 2**63:
        raise ArgumentTypeError("a number, such as 12")
    return int(digits)


def _days(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 36_500:
        raise ArgumentTypeError("a number of days")
    return int(text)


def _actor() -> str:
    """Who to name beside the price."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        # A container's user may have no name.
        return "cli"
