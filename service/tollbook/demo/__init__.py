"""A month that was never lived: calls of people who do not exist, through the whole gateway and its simulated provider.

    cast.py    who calls: models and where they live, keys, teams, end users
    script.py  who says what when, from a seed: working hours, a runaway, a day on which a provider is down
    hands.py   the hands of a clock that shows the time that is played
    stage.py   the gateway on which it is played

What it leaves is a data directory like any other, with a file that says what it is.
"""

from __future__ import annotations

MARK = "DEMO"
"""The file in a data directory that says that nothing in it is real."""
