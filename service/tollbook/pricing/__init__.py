"""What a call costs: exact, in integers, from a price that can be named.

    rates.py       a price compiled to integers, and the bill it makes of a `Usage`
    agreement.py   what is agreed beside a price: uplift, discount, margin
    override.py    the operator's own prices -> rates, by service tier
    own.py         the operator's price list: which entry counts for a model, when
    catalogue.py   genai-prices -> rates, by provider, model, service tier and date
    release.py     a release of the catalogue as bytes, and back
    edition.py     which of all these counts for a call
    book.py        the edition that counts now, and those that counted before

An unknown price is `unpriced`, never 0.
"""

from __future__ import annotations

from .book import PriceBook
from .edition import Edition
from .rates import Rates

__all__ = ["Edition", "PriceBook", "Rates"]
