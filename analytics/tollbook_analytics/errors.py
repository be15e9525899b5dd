"""What can be wrong with a question to the books.

InvalidRequest (tollbook)
└── ReportError          a report that cannot be made; the message says what to change
    ├── NotALedger       a frame without the columns of the ledger, or with others under their names
    ├── TooCoarse        hours were given where the answer needs single attempts
    └── Overflow         a sum that does not fit 64 bits: a report would rather fail than be wrong
"""

from __future__ import annotations

from tollbook.errors import InvalidRequest


class ReportError(InvalidRequest):
    """A report that cannot be made of what was given."""


class NotALedger(ReportError):
    """The frame is not a ledger; names the columns that are missing or of another type."""


class TooCoarse(ReportError):
    """The rolled-up hours cannot answer this; the ledger itself can."""


class Overflow(ReportError):
    """A sum is beyond 64 bits (9.2 billion USD in nano-USD)."""
