"""Budgets that the API and the command line make; the configuration has some of its own (`config/budgets.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NotRequired, Protocol, TypedDict, TypeVar, Unpack

from tollbook.config.budgets import CONFIGURED, SCOPES, Budget, Scope, budget, checked_soft, nano
from tollbook.config.windows import Window, window
from tollbook.errors import Conflict, InvalidRequest

from . import values

T = TypeVar("T")


class Table(Protocol):
    """Where budgets are kept: storage/budgets.py. A row has the fields of `Budget`, its window as `span` and `zone`."""

    def rows(self) -> list[dict[str, Any]]: ...

    def insert(self, row: Mapping[str, Any], *, actor: str) -> None: ...

    def find(self, id_or_name: str) -> dict[str, Any]: ...

    def change(self, id_or_name: str, values: Mapping[str, Any], *, actor: str) -> dict[str, Any]: ...

    def remove(self, id_or_name: str, *, actor: str) -> dict[str, Any]: ...

    def note_reset(self, identifier: str, name: str, *, actor: str) -> None: ...


class Said(TypedDict):
    """What is said of a new budget. `amount` is in dollars, `span` is its window; `label` stands for the subject in a name that
    is made up (a key's alias for its id)."""

    scope: Scope
    subject: NotRequired[str]
    amount: Decimal | float | str
    span: str
    zone: NotRequired[str | None]
    soft: NotRequired[float | None]
    name: NotRequired[str | None]
    label: NotRequired[str | None]


class Budgets:
    """The budgets of this gateway. Methods use the disk; `changed` is told of each change.

    A budget is found by its id or name. Raises NotFound (code budget_not_found) for one that is not there, Conflict (code
    budget_is_configured) where the configuration alone can change it, and InvalidRequest, naming the parameter, for a value that
    cannot be.
    """

    def __init__(self, table: Table, *, clock: Callable[[], int], changed: Callable[[], None]) -> None:
        self._table = table
        self._clock = clock
        self._changed = changed
        self.configured: tuple[Budget, ...] = ()
        """Those of the configuration."""

    def list(self) -> list[Budget]:
        """All budgets, those of the configuration first."""
        return [*self.configured, *map(of, self._table.rows())]

    def find(self, id_or_name: str) -> Budget:
        """One of them."""
        for each in self.configured:
            if id_or_name in (each.id, each.name):
                return each
        return of(self._table.find(id_or_name))

    def create(self, *, actor: str, **said: Unpack[Said]) -> Budget:
        """A new budget."""
        made = self.add(actor=actor, **said)
        self._changed()
        return made

    def add(self, *, actor: str, **said: Unpack[Said]) -> Budget:
        """As `create`, as a part of a larger change of the file: nobody is told yet."""
        scope = said["scope"]
        subject = said.get("subject", "")
        values.one_of(scope, SCOPES, "scope")
        if scope == "global" and subject:
            raise InvalidRequest("A global budget is for everything, not for one.", param="subject")
        made = sound(
            "soft",
            lambda: budget(
                name=values.name_or_none(said.get("name"), "name"),
                scope=scope,
                subject="" if scope == "global" else values.name(subject, scope),
                amount=dollars(said["amount"]),
                window=over(said["span"], said.get("zone")),
                soft=said.get("soft"),
                label=said.get("label"),
                created=self._clock(),
            ),
        )
        self._refuse_configured(made.name, made.id)
        self._table.insert(_row(made), actor=actor)
        return made

    def change(self, id_or_name: str, said: Mapping[str, Any], *, actor: str) -> Budget:
        """Another name, amount (dollars), window (`span`, `zone`) or soft limit. What was spent stays spent."""
        before = self.find(id_or_name)
        self._refuse_configured(before.name, before.id)
        amount = dollars(said["amount"]) if "amount" in said else before.amount
        soft = said.get("soft", before.soft)
        row: dict[str, Any] = {"amount": amount, "soft": sound("soft", lambda: checked_soft(soft, amount))}
        if "name" in said:
            row["name"] = values.name(said["name"], "name")
            self._refuse_configured(row["name"], before.id)
        if "span" in said or "zone" in said:
            span = said.get("span", before.window.text)
            # The zone stays where it still has a meaning.
            kept = before.window.zone if span in ("day", "week", "month") else None
            row |= _window(over(span, said.get("zone", kept)))
        changed = self._table.change(before.id, row, actor=actor)
        self._changed()
        return of(changed)

    def remove(self, id_or_name: str, *, actor: str) -> Budget:
        """End a budget."""
        before = self.find(id_or_name)
        self._refuse_configured(before.name, before.id)
        removed = of(self._table.remove(before.id, actor=actor))
        self._changed()
        return removed

    def reset(self, id_or_name: str, *, actor: str) -> Budget:
        """Say in the audit that nothing is to count as spent any more; the budget, for `Allowances.reset`."""
        found = self.find(id_or_name)
        self._table.note_reset(found.id, found.name, actor=actor)
        return found

    def _refuse_configured(self, name: str, identifier: str) -> None:
        if identifier.startswith(CONFIGURED) or any(name == each.name for each in self.configured):
            raise Conflict(f"The budget {name!r} is set in the configuration.", code="budget_is_configured")


def dollars(amount: Decimal | float | str) -> int:
    """An amount as nano-USD. Raises InvalidRequest."""
    return sound("amount_usd", lambda: nano(amount))


def over(span: str, zone: str | None) -> Window:
    """A window. Raises InvalidRequest naming window or zone."""
    try:
        return window(span, zone)
    except ValueError as wrong:
        param = "zone" if "zone" in str(wrong) else "window"
        raise InvalidRequest(f"Invalid value for '{param}': {wrong}.", param=param, code="invalid_value") from None


def sound(param: str, make: Callable[[], T]) -> T:
    """What a function makes. Raises InvalidRequest for what it says against a value."""
    try:
        return make()
    except ValueError as wrong:
        raise InvalidRequest(f"Invalid value for '{param}': {wrong}.", param=param, code="invalid_value") from None


def readable(rows: Iterable[Mapping[str, Any]]) -> tuple[Budget, ...]:
    """The budgets in these rows."""
    return tuple(map(of, rows))


def of(row: Mapping[str, Any]) -> Budget:
    """A row as a budget."""
    plain = ("id", "name", "scope", "subject", "amount", "soft", "created")
    return Budget(**{name: row[name] for name in plain}, window=_again(row["span"], row["zone"]))


def _again(span: str, zone: str) -> Window:
    """The window of a row. A zone that this machine's database does not have any more counts as UTC: a budget that cannot be
    read would let everything through, or nothing."""
    try:
        return window(span, zone)
    except ValueError:
        return window(span)


def _row(made: Budget) -> dict[str, Any]:
    plain = ("id", "name", "scope", "subject", "amount", "soft", "created")
    return {name: getattr(made, name) for name in plain} | _window(made.window)


def _window(of_it: Window) -> dict[str, str]:
    return {"span": of_it.text, "zone": of_it.zone}
