"""Things that operators should hear of, from wherever they are noticed: a price that is missing, a provider that fails, a
budget that is nearly spent.

A notice is a warning in the log, and - where telemetry sends log records - an event with a name and facts.
"""

from __future__ import annotations

import logging
from typing import Final

NAME: Final = "tollbook_notice"
FACTS: Final = "tollbook_facts"
"""Where a `logging.LogRecord` has them."""

_log = logging.getLogger("tollbook.notices")


def notice(name: str, message: str, **facts: str | float | bool) -> None:
    """Tell it. `name` is of the kind "tollbook.price.missing"; neither the message nor a fact may hold content or secrets.

    It costs what a line in the log costs, so whoever notices the same thing again and again says it now and then.
    """
    _log.warning("%s", message, extra={NAME: name, FACTS: facts})
