"""Money and numbers as people read them."""

from __future__ import annotations

from tollbook.call import format_usd


def dollars(nano: int) -> str:
    """Nano-USD, exact: 1234500000000 -> "$1,234.50", 21250 -> "$0.00002125"."""
    whole, _, rest = format_usd(abs(nano)).partition(".")
    return f"{'-' if nano < 0 else ''}${int(whole):,}.{rest:0<2}"


def short_dollars(nano: int) -> str:
    """As `dollars`; from one dollar on, rounded to cents."""
    if abs(nano) < 1_000_000_000:
        return dollars(nano)
    cents = (abs(nano) + 5_000_000) // 10_000_000
    return dollars((cents if nano > 0 else -cents) * 10_000_000)


def cost(nano: int, calls: int, unpriced: int) -> str:
    """A sum that says what it leaves out: "unpriced", "$0.12", "$0.12 + 3 unpriced"."""
    if unpriced == 0:
        return dollars(nano)
    return "unpriced" if unpriced == calls else f"{dollars(nano)} + {unpriced:,} unpriced"


def short_number(number: int) -> str:
    """12345 -> "12.3 k": three digits are enough for a headline."""
    for size, unit in ((1_000_000_000, "bn"), (1_000_000, "M"), (10_000, "k")):
        if number >= size:
            return f"{number / (1000 if unit == 'k' else size):.3g} {unit}"
    return f"{number:,}"
