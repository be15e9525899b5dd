"""Teams: terms that several keys share. A key names its team; a name that is new makes a team without terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tollbook.responses.ids import make_id

from . import values


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """`models` and `tags` hold for every key of the team beside its own; `rpm` and `tpm` for all of them together."""

    id: str
    name: str
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    rpm: int | None = None
    tpm: int | None = None
    created: int
    blocked: bool = False


class Table(Protocol):
    """Where teams are kept: storage/teams.py. A row is a dictionary with the fields of `Team`."""

    def rows(self) -> list[dict[str, Any]]: ...

    def find(self, name: str) -> dict[str, Any]: ...

    def insert(self, row: Mapping[str, Any], *, actor: str) -> None: ...

    def change(self, name: str, values: Mapping[str, Any], *, actor: str) -> dict[str, Any]: ...

    def block(self, name: str, blocked: bool, *, actor: str) -> dict[str, Any]: ...

    def remove(self, name: str, *, actor: str) -> dict[str, Any]: ...


class Teams:
    """The teams of this gateway. Methods use the disk; `changed` is told of each change.

    A team is found by its name or id. Raises NotFound (code team_not_found) for one that is not there.
    """

    def __init__(self, table: Table, *, clock: Callable[[], int], changed: Callable[[], None]) -> None:
        self._table = table
        self._clock = clock
        self._changed = changed

    def list(self) -> list[Team]:
        """All teams, by name."""
        return [team(row) for row in self._table.rows()]

    def find(self, name: str) -> Team:
        """One of them."""
        return team(self._table.find(name))

    def add(
        self,
        name: str,
        *,
        models: Sequence[str] = (),
        tags: Sequence[str] = (),
        rpm: int | None = None,
        tpm: int | None = None,
        actor: str,
    ) -> Team:
        """A new team, as a part of a larger change of the file: nobody is told yet.

        Raises Conflict for a name in use and InvalidRequest, naming the parameter, for a value that cannot be.
        """
        said = {"name": name, "models": models, "tags": tags, "rpm": rpm, "tpm": tpm}
        row = {"id": make_id("team"), **checked(said), "created": self._clock()}
        self._table.insert(row, actor=actor)
        return team(row)

    def change(self, name: str, said: Mapping[str, Any], *, actor: str) -> Team:
        """Other terms: any of models, tags, rpm, tpm. The name stays, for it stands in the books."""
        row = self._table.change(name, checked(said), actor=actor)
        self._changed()
        return team(row)

    def block(self, name: str, blocked: bool = True, *, actor: str) -> Team:
        """Refuse every key of a team, or let them be used again."""
        row = self._table.block(name, blocked, actor=actor)
        self._changed()
        return team(row)

    def remove(self, name: str, *, actor: str) -> Team:
        """End a team. Raises Conflict (code team_has_keys) while keys belong to it."""
        row = self._table.remove(name, actor=actor)
        self._changed()
        return team(row)


def checked(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a team, as its row holds it."""
    checks: dict[str, Callable[[Any], Any]] = {
        "name": lambda value: values.name(value, "name"),
        "models": lambda value: values.names(value, "models", "model patterns"),
        "tags": lambda value: values.names(value, "tags", "tags"),
        "rpm": lambda value: values.count(value, "rpm"),
        "tpm": lambda value: values.count(value, "tpm"),
    }
    return {name: checks[name](value) for name, value in said.items()}


def team(row: Mapping[str, Any]) -> Team:
    """A row as a team."""
    fields = {name: row[name] for name in Team.__slots__ if name in row}
    return Team(**fields | {"models": tuple(row["models"]), "tags": tuple(row["tags"])})
