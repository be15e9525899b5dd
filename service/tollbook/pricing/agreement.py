"""What is agreed beside a price: a region's surcharge, the operator's discount, and the margin on top. In integers.

    uplift     a share of what tokens and units cost; fees for hosted tools and per request are the same everywhere
    discount   a share of everything, the uplift included
    margin     a share of the cost after both, and an amount for each call that was answered; never part of the cost

Each is multiplied exactly and rounded once, half to even, to nano-USD. What the provider itself reports as a call's cost has
its surcharge already; a discount is agreed with the operator and is taken off that, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tollbook.call import Line
from tollbook.config import Terms
from tollbook.responses import usage

UPLIFT = "uplift"
DISCOUNT = "discount"

_NANO = 10**9
_RAISED = frozenset({*usage.TOKENS, *usage.UNITS, usage.LONG_WRITES})


class Settled(NamedTuple):
    """The lines with those of the agreement, their sum, and the margin, in nano-USD."""

    lines: list[Line]
    total: int
    margin: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares of one, and nano-USD per call."""

    uplift: Fraction = Fraction(0)
    discount: Fraction = Fraction(0)
    margin: Fraction = Fraction(0)
    per_call: int = 0

    @property
    def version(self) -> str:
        """What it adds to the version of a price: "/uplift:10%/discount:15%"."""
        return "".join("/" + words.replace(" ", ":", 1) for words in self.words)

    @property
    def words(self) -> list[str]:
        """The same for people: "uplift 10%"."""
        shares = ((UPLIFT, self.uplift), (DISCOUNT, self.discount), ("margin", self.margin))
        told = [f"{name} {_percent(part)}" for name, part in shares if part]
        if self.per_call:
            told.append(f"margin ${Decimal(self.per_call).scaleb(-9).normalize():f} a call")
        return told

    def settle(self, lines: list[Line], *, reported: bool = False, answered: bool = True) -> Settled:
        """The whole bill. `reported`: the provider told the cost itself. `answered`: a call was, so that its margin is due."""
        total = sum(line.amount for line in lines)
        if self.uplift and not reported:
            raised = share(sum(line.amount for line in lines if line.kind in _RAISED), self.uplift)
            if raised:
                lines = [*lines, Line(UPLIFT, 1, None, raised)]
                total += raised
        if self.discount:
            off = share(total, self.discount)
            if off:
                lines = [*lines, Line(DISCOUNT, 1, None, -off)]
                total -= off
        margin = share(total, self.margin) + (self.per_call if answered else 0)
        return Settled(lines, total, margin)


def share(amount: int, part: Fraction) -> int:
    """`part` of an amount from 0 up, rounded half to even."""
    return rounded(amount * part.numerator, part.denominator)


def rounded(numerator: int, denominator: int) -> int:
    """A quotient from 0 up, rounded half to even."""
    whole, rest = divmod(numerator, denominator)
    rest *= 2
    return whole + 1 if rest > denominator or (rest == denominator and whole & 1) else whole


def agree(terms: Iterable[Terms]) -> Agreement | None:
    """What several say together: of each, the first that says it counts. None where nothing is agreed."""
    found: dict[str, Decimal] = {}
    for one in terms:
        for name in ("uplift", "discount", "margin", "margin_per_call"):
            value = getattr(one, name)
            if value is not None:
                found.setdefault(name, value)
    per_call = Fraction(found.pop("margin_per_call", Decimal(0))) * _NANO
    agreed = Agreement(
        **{name: Fraction(value) for name, value in found.items()},
        per_call=rounded(per_call.numerator, per_call.denominator),
    )
    return agreed if agreed != NOTHING else None


NOTHING = Agreement()


def _percent(part: Fraction) -> str:
    return f"{(Decimal(part.numerator) * 100 / Decimal(part.denominator)).normalize():f}%"
