"""Names in which * stands for anything: models that a key may use, models and end users that a budget is for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def fits(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of the patterns stands for the name."""
    return _compiled(patterns).fullmatch(name) is not None


def closest(patterns: Iterable[str], name: str) -> str | None:
    """The pattern that says the most about a name: the name itself, else the one with the most letters. None if none fits."""
    fitting = [pattern for pattern in patterns if fits((pattern,), name)]
    return min(fitting, key=lambda pattern: ("*" in pattern, pattern.count("*") - len(pattern), pattern), default=None)


def meet(first: str, second: str) -> bool:
    """Whether some name fits both patterns."""
    # What the first len(row) letters of `second` may have in common with what was read of `first`.
    row = [True]
    for letter in second:
        row.append(row[-1] and letter == "*")
    for letter in first:
        above, row = row, [row[0] and letter == "*"]
        for column, other in enumerate(second, 1):
            if letter == "*" or other == "*":
                row.append(above[column] or row[column - 1] or (letter == other == "*" and above[column - 1]))
            else:
                row.append(above[column - 1] and letter == other)
    return row[-1]


@lru_cache(maxsize=4096)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns), re.DOTALL)
