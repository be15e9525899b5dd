"""What a translation has to say beside the body: what changed, what was left out, what it cannot say at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from tollbook.errors import Unsupported

TARGET = "Anthropic Messages"


@dataclass(slots=True)
class Remarks:
    """Collected while a request is written; `settle` ends it. `drop` turns refusals into notes."""

    drop: bool = False
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    betas: list[str] = field(default_factory=list)
    """Values of the header `anthropic-beta`, in the order of their first need."""

    def dropped(self, name: str, why: str = "") -> None:
        """Tuning without an equivalent was left out."""
        self.note(f"{name}: dropped ({why})" if why else f"{name}: dropped")

    def adapted(self, name: str, how: str) -> None:
        """It is said in another way."""
        self.note(f"{name}: adapted ({how})")

    def left_out(self, name: str, why: str) -> None:
        """History that means nothing to the target was left out."""
        self.note(f"{name}: {why}, left out")

    def unsupported(self, name: str) -> None:
        """Content or a tool that the target has no words for."""
        if self.drop:
            self.dropped(name)
        else:
            self.refused.append(name)

    def beta(self, flag: str) -> None:
        """A part of the body needs this flag."""
        if flag not in self.betas:
            self.betas.append(flag)

    def settle(self) -> None:
        """Raises Unsupported, naming everything at once, when there is something that cannot be said."""
        if self.refused:
            raise Unsupported(self.refused, TARGET)

    def note(self, *notes: str) -> None:
        """In words that somebody else chose; each only once."""
        self.notes.extend(note for note in notes if note not in self.notes)
