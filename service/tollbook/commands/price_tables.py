"""What `tollbook prices` shows: lists, differences, and what has grown old. For people as tables, for programs as JSON."""

from __future__ import annotations

import json
import re
import time
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tollbook.config.price_list import read_moment, show_moment

from .terminal import note, say, styled, table

if TYPE_CHECKING:
    from rich.text import Text

    from tollbook.config import Config, Deployment
    from tollbook.pricing import Edition, PriceBook
    from tollbook.pricing.own import OwnPrice
    from tollbook.pricing.shown import Change, Shown

_DAY = 86_400 * 10**9
_COLUMNS = {
    "input": "In",
    "cache_read": "Cached",
    "cache_write": "Write",
    "cache_write_1h": "Write 1h",
    "output": "Out",
}
"""Kinds with a column of their own; the others are told beside them."""

_FOLLOWS = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "input",
    "cache_write_long": "input",
    "input_image": "input",
    "reasoning": "output",
    "cache_read_audio": "input_audio",
}
"""Kinds that are told only where they differ from another."""


class Asked:
    """One model to show: a deployment's, or one of the catalogue."""

    __slots__ = ("deployment", "model", "name", "provider")

    def __init__(self, provider: str, model: str, deployment: Deployment | None = None) -> None:
        self.provider, self.model, self.deployment = provider, model, deployment
        self.name = f"{provider}/{model}"

    def shown(self, edition: Edition, at: int) -> list[Shown]:
        from tollbook.pricing.shown import shown

        return shown(edition, self.provider, self.model, self.deployment, at=at)


# ── list ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def listing(args: Namespace, config: Config, book: PriceBook) -> int:
    """tollbook prices list"""
    at = args.at if args.at is not None else time.time_ns()
    edition = book.edition
    asked = _asked(args, config, edition)
    found = [one.shown(edition, at) for one in asked]
    if args.json:
        say(json.dumps([_json(one) for rows in found for one in rows], indent=2))
    elif found:
        _draw(found)
    else:
        note("no model fits; --all shows the whole catalogue" if _filtered(args) else NO_MODELS)
    unpriced = [
        one.name for one, rows in zip(asked, found, strict=True) if one.deployment is not None and not rows[0].usd
    ]
    return 1 if args.fail and unpriced else 0


NO_MODELS = (
    "the configuration names no models (wildcards are priced by the model of the call); --model PATTERN shows any"
)


def _draw(found: Iterable[Sequence[Shown]]) -> None:
    columns = ("Model", "Tier", "Input tokens", *_COLUMNS.values(), "Beside", "Price", "Since")
    rows: list[tuple[str | Text, ...]] = []
    for prices in found:
        for number, one in enumerate(prices):
            if not one.usd:
                rows.append((one.model, "", "", *("" for _ in _COLUMNS), "", styled("unpriced", "yellow"), ""))
                continue
            rows.append(
                (
                    "" if number else one.model,
                    one.tier or "",
                    _above(one),
                    *(_usd(one.usd.get(kind)) for kind in _COLUMNS),
                    "" if number and _beside(one) == _beside(prices[0]) else ", ".join(_beside(one)),
                    "" if number and _version(one) == _version(prices[0]) else _version(one),
                    "" if one.since is None else show_moment(one.since),
                )
            )
    table(columns, rows, numbers=_COLUMNS.values())
    say("USD per million tokens.")


def _version(one: Shown) -> str:
    """Without the tier, which has a column."""
    return one.version.replace(f"/tier:{one.tier}", "")


def _above(one: Shown) -> str:
    words = _threshold(one.above)
    return f"{words}, those" if words and one.marginal else words


def _threshold(above: int | None) -> str:
    """The edge as the price list has it: 199,999 is one that includes 200,000."""
    if above is None:
        return ""
    return f"from {above + 1:,}" if (above + 1) % 1000 == 0 else f"above {above:,}"


def _beside(one: Shown) -> list[str]:
    """What has no column: "web search 10/1k"."""
    from tollbook.pricing.shown import amount

    told = []
    for kind, usd in one.usd.items():
        if kind in _COLUMNS or not usd or (kind in _FOLLOWS and one.usd.get(_FOLLOWS[kind]) == usd):
            continue
        told.append(amount(kind, usd))
    return told


def _usd(usd: Decimal | None) -> str:
    return "" if usd is None else f"{usd:f}"


def _json(one: Shown) -> dict[str, Any]:
    from tollbook.pricing.shown import per

    plain = asdict(one)
    plain["usd"] = {kind: {"usd": _usd(usd), "per": per(kind)} for kind, usd in one.usd.items()}
    plain["priced"] = bool(one.usd)
    plain["since"] = None if one.since is None else show_moment(one.since)
    return plain


def _filtered(args: Namespace) -> bool:
    return bool(args.model or args.provider or args.all)


def _asked(args: Namespace, config: Config, edition: Edition) -> list[Asked]:
    """The models of the configuration; with a filter those that fit it, and those of the catalogue that do."""
    found: dict[tuple[str, str], Asked] = {}
    for deployment in config.deployments.values():
        if "*" not in deployment.provider + deployment.model:
            one = Asked(deployment.provider, deployment.model, deployment)
            found.setdefault((one.name, _plainly(deployment)), one)
    if not _filtered(args):
        return list(found.values())
    asked = list(found.values())
    known = {one.name for one in asked}
    listings = (listed for listed in edition.catalogue().listings() if listed.name not in known)
    asked += [Asked(listed.provider.id, listed.model.id) for listed in listings]
    known |= {one.name for one in asked}
    named = dict.fromkeys(price.entry.model for price in edition.own.prices if "*" not in price.entry.model)
    for name in named:
        provider, _, model = name.partition("/")
        asked += [Asked(provider, model)] if name not in known else []
    return [one for one in asked if _fits(args, one)]


def _plainly(deployment: Deployment) -> str:
    """What makes a deployment's price another than that of the next one with the same model."""
    return repr((sorted(deployment.prices.items()), deployment.terms, deployment.base_model))


def _fits(args: Namespace, one: Asked) -> bool:
    from tollbook.pricing.catalogue import ALIASES

    if args.provider and args.provider not in (one.provider, ALIASES.get(one.provider)):
        alias = ALIASES.get(args.provider)
        if alias is None or alias != one.provider:
            return False
    if args.model:
        pattern = re.compile(".*".join(map(re.escape, args.model.split("*"))), re.DOTALL)
        return any(pattern.fullmatch(name) for name in (one.name, one.model))
    return True


# ── your own ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def own(args: Namespace, book: PriceBook) -> int:
    """tollbook prices list --own"""
    prices = book.edition.own.prices
    at = args.at if args.at is not None else time.time_ns()
    if args.json:
        from tollbook.pricing.own import plain

        say(
            json.dumps(
                [{**plain(one.entry), "number": one.number or None, "version": one.version} for one in prices],
                default=str,
            )
        )
        return 0
    if not prices:
        note("no prices of your own; tollbook prices set makes one, and config.yaml may have a list")
        return 0
    columns = ("Number", "Model", "Tier", "From", "Until", "Says", "By", "Note", "State")
    table(columns, [_own_row(one, at) for one in prices], numbers=("Number",))
    return 0


def _own_row(one: OwnPrice, at: int) -> tuple[str | Text, ...]:
    from tollbook.pricing.own import said

    entry = one.entry
    if entry.valid_until is not None and entry.valid_until <= at:
        state = styled("ended", "dim")
    elif entry.valid_from is not None and entry.valid_from > at:
        state = styled("to come", "cyan")
    else:
        state = styled("holds", "green")
    return (
        str(one.number) if one.number else "",
        entry.model,
        entry.tier or "",
        "always" if entry.valid_from is None else show_moment(entry.valid_from),
        "" if entry.valid_until is None else show_moment(entry.valid_until),
        ", ".join(f"{name}={value}" for name, value in said(entry).items()),
        one.actor or "config.yaml",
        entry.note,
        state,
    )


# ── diff ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def diff(args: Namespace, config: Config, book: PriceBook) -> int:
    """tollbook prices diff"""
    from tollbook.pricing.shown import compare

    sides = _sides(args, book)
    if sides is None:
        return 0
    (old, before, old_words), (new, after, new_words) = sides
    if not _filtered(args) and all("*" in d.provider + d.model for d in config.deployments.values()):
        args.all = True
    names = {one.name: one for edition in (old, new) for one in _asked(args, config, edition)}
    asked = list(names.values())
    changes = compare(
        [row for one in asked for row in one.shown(old, before)],
        [row for one in asked for row in one.shown(new, after)],
    )
    dearer = [change for change in changes if change.percent is not None and change.percent > 0]
    if args.json:
        plain = [{**change._asdict(), "percent": change.percent} for change in changes]
        say(json.dumps({"from": old_words, "to": new_words, "changes": plain}, indent=2, default=str))
    elif changes:
        _draw_changes(changes)
        _sum_up(changes, old_words, new_words)
    else:
        say(f"Nothing changed between {old_words} and {new_words}.")
    return 1 if args.fail and dearer else 0


def _sides(args: Namespace, book: PriceBook) -> tuple[tuple[Edition, int, str], tuple[Edition, int, str]] | None:
    """What is compared with what: an edition, a time, and words for both."""
    now = time.time_ns()
    if args.old is None and args.new is None:
        kept = book.releases()
        if not kept:
            note(
                "no gateway has started on this data directory yet, so there is nothing to compare; try --from WHEN --to WHEN"
            )
            return None
        last = kept[-1].release
        return (book.at_version(last), now, f"{last} (at the last start)"), (
            book.edition,
            now,
            f"{book.version} (installed)",
        )
    return _side(args.old, book, now), _side(args.new, book, now)


def _side(what: str | None, book: PriceBook, now: int) -> tuple[Edition, int, str]:
    if what is None:
        return book.edition, now, "now"
    if re.match(r"\d{4}-\d{2}", what):
        from tollbook.errors import ConfigError

        try:
            at = read_moment(what)
        except ValueError as wrong:
            raise ConfigError(f"{what!r} {wrong}.") from None
        return book.edition, at, show_moment(at)
    version = what if " " in what else f"{book.version.partition(' ')[0]} {what}"
    return book.at_version(version), now, version


def _draw_changes(changes: Sequence[Change]) -> None:
    columns = ("Model", "Tier", "Input tokens", "Price", "Before", "After", "Change")
    places: dict[tuple[str, str | None, int | None], list[Change]] = {}
    for change in changes:
        places.setdefault(change[:3], []).append(change)
    rows: list[tuple[str | Text, ...]] = []
    last = ""
    for (model, tier, above), there in places.items():
        for price, before, after, how in _lines(there):
            rows.append(("" if model == last else model, tier or "", _threshold(above), price, before, after, how))
            last = model
    table(columns, rows, numbers=("Before", "After", "Change"))


def _lines(there: Sequence[Change]) -> Iterable[tuple[str, str, str, Text]]:
    """The changes of one price list. One that came or went as a whole is one line."""
    for words, before in (("new", False), ("gone", True)):
        if all((change.after if before else change.before) is None for change in there):
            sides = {change.kind: change.before if before else change.after for change in there}
            told = ", ".join(f"{_usd(sides[kind])} {kind}" for kind in ("input", "output") if kind in sides)
            yield "all", told if before else "", "" if before else told, styled(words, "yellow" if before else "cyan")
            return
    moves = {change.kind: (change.before, change.after) for change in there}
    for change in there:
        if moves.get(_FOLLOWS.get(change.kind, "")) != (change.before, change.after):
            yield _kind(change.kind), _usd(change.before), _usd(change.after), _how(change)


def _kind(kind: str) -> str:
    from tollbook.pricing.shown import per, words

    return f"{words(kind)} per 1k" if per(kind) == 1000 and kind != "milliseconds" else words(kind)


def _how(change: Change) -> Text:
    if change.before is None:
        return styled("new", "cyan")
    if change.after is None:
        return styled("gone", "yellow")
    if change.percent is None:
        return styled("no longer free", "red")
    sign = "+" if change.percent > 0 else "-"
    return styled(f"{sign}{abs(change.percent):.1f} %", "red" if change.percent > 0 else "green")


def _sum_up(changes: Sequence[Change], old: str, new: str) -> None:
    dearer = {c.model for c in changes if c.percent is not None and c.percent > 0}
    cheaper = {c.model for c in changes if c.percent is not None and c.percent < 0}
    new_ones = {c.model for c in changes if c.before is None} - dearer - cheaper
    gone = {c.model for c in changes if c.after is None} - dearer - cheaper
    parts = [("dearer", dearer), ("cheaper", cheaper), ("with new prices", new_ones), ("with prices gone", gone)]
    told = ", ".join(f"{len(models)} {words}" for words, models in parts if models)
    say(f"{old} → {new}: {told}. USD per million tokens where nothing else is said.")


# ── stale ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def stale(args: Namespace, config: Config, book: PriceBook, kept: bool) -> int:
    """tollbook prices stale"""
    now = time.time_ns()
    found: list[dict[str, Any]] = []
    edition = book.edition
    checked = edition.catalogue().checked
    if checked is not None and (age := (datetime.fromtimestamp(now // 10**9, UTC).date() - checked).days) > args.days:
        found.append(
            _finding("catalogue", book.version, checked, f"{age} days old; upgrade {book.version.partition(' ')[0]}")
        )
    for one in edition.own.prices:
        entry = one.entry
        if entry.valid_until is not None and entry.valid_until <= now:
            continue
        moments = [moment for moment in (entry.checked, one.created or None, entry.valid_from) if moment is not None]
        last = max((moment for moment in moments if moment <= now), default=None)
        if last is not None and (days := (now - last) // _DAY) > args.days:
            found.append(
                _finding(
                    "own price", f"{one.version} ({entry.model})", _day(last), f"{days} days old; is it right still?"
                )
            )
        if not _serves(config, one):
            found.append(
                _finding("own price", f"{one.version} ({entry.model})", None, "fits no model of the configuration")
            )
    for deployment in config.deployments.values():
        if "*" not in deployment.provider + deployment.model and not book.known(deployment):
            name = f"{deployment.provider}/{deployment.model}"
            found.append(_finding("model", name, None, "has no price; calls are booked as unpriced"))
    if args.json:
        plain = {"catalogue": book.version, "checked": checked, "recorded": kept, "findings": found}
        say(json.dumps(plain, indent=2, default=str))
    elif found:
        columns = ("What", "Which", "Last checked", "Why")
        table(columns, [(one["what"], one["which"], str(one["checked"] or ""), one["why"]) for one in found])
    else:
        say(f"Nothing to look at: {book.version}" + (f", checked until {checked}." if checked else "."))
    return 1 if args.fail and found else 0


def _finding(what: str, which: str, checked: date | None, why: str) -> dict[str, Any]:
    return {"what": what, "which": which, "checked": checked, "why": why}


def _day(nanoseconds: int) -> date:
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).date()


def _serves(config: Config, one: OwnPrice) -> bool:
    """Whether an entry may count for some deployment. What a wildcard will serve is not known: its provider is enough."""
    place = one.entry.model.partition("/")[0]
    for deployment in config.deployments.values():
        if "*" in deployment.provider + deployment.model:
            if deployment.provider in ("*", place) or "*" in place:
                return True
            continue
        base = deployment.base_model
        names = [f"{deployment.provider}/{name}" for name in (deployment.model, base) if name]
        if any(one.pattern.fullmatch(name) for name in [*names, *([base] if base else [])]):
            return True
    return False
