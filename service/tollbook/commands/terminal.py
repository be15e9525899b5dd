"""Words for the person at the terminal: results to stdout, everything else to stderr, colour only where it is wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text


def say(text: str = "") -> None:
    """A result."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Something to know beside the result."""
    sys.stderr.write(f"{text}\n")


def complain(text: str) -> None:
    """What went wrong."""
    red, plain = ("\x1b[31m", "\x1b[0m") if _coloured() else ("", "")
    sys.stderr.write(f"{red}tollbook:{plain} {text}\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: Container[str] = ()) -> None:
    """A table without frame; columns of `numbers` end at the same place. On a terminal long cells wrap; into a pipe every row
    is one line."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold", justify="right" if column in numbers else "left")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row))
    console = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else 1000)
    console.print(drawn)


def styled(text: str, style: str) -> Text:
    """A cell with a style of rich's ("green", "bold"); NO_COLOR and pipes leave it out."""
    from rich.text import Text

    return Text(printable(text), style)


def printable(text: str) -> str:
    """The text without control characters: a name in a file must not steer a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _coloured() -> bool:
    # https://no-color.org: set to anything but an empty string, it forbids colour.
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
