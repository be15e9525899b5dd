"""What a budget and a limit are, and how a configuration says them. Money is integer nano-USD."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeVar, get_args

from tollbook.responses.ids import make_id

from .problems import Wrong
from .reading import Reader, Value, kind, section, text, whole
from .windows import Window, window

T = TypeVar("T")

Scope = Literal[
    "key",  # one key, all its secrets
    "team",  # all keys of a team together
    "end_user",  # each end user that fits the pattern, apart
    "model",  # all public model names that fit the pattern, together
    "global",  # everything that goes through this gateway
]

SCOPES: tuple[Scope, ...] = get_args(Scope)

NANO = 1_000_000_000
LARGEST = 1_000_000_000 * NANO
"""A billion dollars: sums of such amounts fit into 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """So much money within a window. `subject` is a key's id (in a configuration its id or alias), a team's name, or a pattern of
    end users or public model names in which * stands for anything; "" for everything.

    `soft` is where a warning is given: a share of the amount up to 1, above it dollars. None gives none.
    """

    id: str
    name: str
    scope: Scope
    subject: str
    amount: int
    window: Window
    soft: float | None = None
    created: int = 0
    """Nanoseconds since 1970; 0 for one that the configuration says."""

    @property
    def configured(self) -> bool:
        """Whether the configuration says it, so that only the configuration can change it."""
        return self.id.startswith(CONFIGURED)

    @property
    def threshold(self) -> int | None:
        """Nano-USD from which on a warning is given."""
        if self.soft is None:
            return None
        soft = Decimal(str(self.soft))
        return int(self.amount * soft) if soft <= 1 else int(soft * NANO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many requests and tokens a minute."""

    scope: Scope
    subject: str
    rpm: int | None = None
    tpm: int | None = None


CONFIGURED = "config:"
"""What the id of a configured budget begins with; the name follows, by which its books go on when the file changes."""


def nano(usd: Decimal | float | str) -> int:
    """Dollars as nano-USD. Raises ValueError for what is no amount: negative, not finite, finer than a nano-dollar, too large."""
    try:
        exact = Decimal(str(usd))
    except InvalidOperation:
        raise ValueError("an amount of dollars was expected, such as 12.50") from None
    if not exact.is_finite():
        raise ValueError("an amount must be finite")
    if exact < 0:
        raise ValueError("an amount must not be negative")
    if exact > LARGEST // NANO:
        raise ValueError("an amount is at most a billion dollars")
    found = exact * NANO
    if found != found.to_integral_value():
        raise ValueError("an amount has at most nine decimals")
    return int(found)


def checked_soft(soft: float | None, amount: int) -> float | None:
    """The soft limit, if it is one. Raises ValueError."""
    if soft is None:
        return None
    if not 0 < soft <= LARGEST:  # NaN is in no range
        raise ValueError("a soft limit is a share above 0 and up to 1, or an amount above 1 dollar")
    if soft > 1 and nano(soft) > amount:
        raise ValueError("a soft limit lies below the amount")
    return soft


def budget(
    *,
    id: str | None = None,  # noqa: A002 - that is what it is
    name: str | None = None,
    scope: Scope,
    subject: str,
    amount: int,
    window: Window,
    soft: float | None = None,
    label: str | None = None,
    created: int = 0,
) -> Budget:
    """A budget with an id and a name, made up where none is given: "key:alice:month". `label` stands for the subject in it."""
    shown = subject if label is None else label
    named = name or ":".join(filter(None, (scope, shown, window.text)))
    return Budget(
        id=id or make_id("budget"),
        name=named,
        scope=scope,
        subject=subject,
        amount=amount,
        window=window,
        soft=checked_soft(soft, amount),
        created=created,
    )


# ------------------------------------------------------------------------------------------------------- configuration

_SUBJECTS: dict[str, Reader[Any]] = {"key": text, "team": text, "end_user": text, "model": text}


def _amount(value: Value) -> int:
    raw = value.resolved()
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Wrong(f"expected an amount of dollars, got {kind(raw)}")
    return _right(lambda: nano(raw))


def _soft(value: Value) -> float:
    raw = value.resolved()
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise Wrong(f"expected a number, got {kind(raw)}")
    return float(raw)


def _right(make: Callable[[], T]) -> T:
    """What a function makes of it. What it says against it is said at the value's place."""
    try:
        return make()
    except ValueError as wrong:
        raise Wrong(str(wrong)) from None


_MONEY: dict[str, Reader[Any]] = {"amount": _amount, "window": text, "zone": text, "soft": _soft}
BUDGET: dict[str, Reader[Any]] = {"name": text, **_SUBJECTS, **_MONEY}
LIMIT: dict[str, Reader[Any]] = {
    "end_user": text,
    "model": text,
    "rpm": whole(least=1),
    "tpm": whole(least=1),
}


def read_budget(value: Value) -> Budget | None:
    """One entry of `budgets`. None when a part of it is wrong, which was told."""
    return _read(value, section(value, BUDGET))


def read_end_user_budget(value: Value) -> Budget | None:
    """`end_user_budget`: what each end user may spend for whom nothing else is said."""
    return _read(value, {**section(value, _MONEY), "end_user": "*", "name": "end_user_budget"})


def _read(value: Value, said: dict[str, Any]) -> Budget | None:
    if not isinstance(value.raw, Mapping):  # which `section` told
        return None
    missing = [name for name in ("amount", "window") if value.raw.get(name) is None]
    if missing:
        raise Wrong(f"a budget needs {' and '.join(missing)}")
    if "amount" not in said or "window" not in said:
        return None
    scope, subject = _subject(said)
    try:
        over = window(said["window"], said.get("zone"))
    except ValueError as wrong:
        where = "zone" if "zone" in said and "zone" in str(wrong) else "window"
        value.problems.add((*value.steps, where), str(wrong))
        return None
    made = _right(
        lambda: budget(
            id="-",
            name=said.get("name"),
            scope=scope,
            subject=subject,
            amount=said["amount"],
            window=over,
            soft=said.get("soft"),
        )
    )
    return replace(made, id=CONFIGURED + made.name)


def read_limit(value: Value) -> Limit | None:
    """One entry of `limits`. None when a part of it is wrong, which was told."""
    said = section(value, LIMIT)
    if not isinstance(value.raw, Mapping):
        return None
    if value.raw.get("rpm") is None and value.raw.get("tpm") is None:
        raise Wrong("a limit needs rpm or tpm")
    scope, subject = _subject(said)
    return Limit(scope=scope, subject=subject, rpm=said.get("rpm"), tpm=said.get("tpm"))


def _subject(said: dict[str, Any]) -> tuple[Scope, str]:
    named = [scope for scope in SCOPES if scope in said]
    if len(named) > 1:
        raise Wrong(f"is for one of {', '.join(_SUBJECTS)}, or for everything; {' and '.join(named)} are given")
    return (named[0], said[named[0]]) if named else ("global", "")
