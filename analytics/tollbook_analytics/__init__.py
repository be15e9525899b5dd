"""Reports over what a gateway has booked: pure functions over Polars LazyFrames.

calls.py   the gateway's calls as a LazyFrame, one row each
spend.py   calls, tokens and money, by anything
"""

from __future__ import annotations

from .calls import calls
from .spend import spend

__all__ = ["calls", "spend"]
