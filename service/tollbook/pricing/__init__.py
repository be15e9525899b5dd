"""What a call costs: exact, in integers, from a price that can be named.

    rates.py       a price compiled to integers, and the bill it makes of a `Usage`
    override.py    the operator's own prices of a deployment -> rates
    catalogue.py   genai-prices -> rates, by provider, model, service tier and date
    book.py        which of them counts

An unknown price is `unpriced`, never 0.
"""

from __future__ import annotations

from .book import PriceBook
from .rates import Rates

__all__ = ["PriceBook", "Rates"]
