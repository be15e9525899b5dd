"""The functions of the package: one `Router` for the whole process, made of its environment.

The environment counts as it is at each call, so code that sets a key after the import, or changes it, works. Where
conversations are kept is decided by the first call: in the folder that TOLLBOOK_DATA_DIR names, else in memory.

A model is named with its provider: "openai/gpt-4o", "anthropic/claude-…"; "gpt-…", "claude-…" and "gemini-…" may stand
alone.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from .client import CONFIGURED, Router

if TYPE_CHECKING:
    from .engine import Engine


class Surroundings(Router):
    """The Router of the environment. Closed, it begins anew with the next call."""

    def __init__(self) -> None:
        self._begin(CONFIGURED, None, anywhere=True)

    def _engine(self) -> Engine:
        environment = dict(os.environ)
        engine = self._made
        if engine is not None and engine.environment == environment:
            return engine
        from .config import default_config

        with self._making:
            config = default_config(environment)
            if self._made is None:
                self._made = self._make(config, environment)
            else:
                self._made.reconfigure(config, environment)
            return self._made

    async def _ready(self) -> Engine:
        return self._engine() if self._made is not None else await asyncio.to_thread(self._engine)


everywhere = Surroundings()

responses = everywhere.responses
aresponses = everywhere.aresponses
get_responses = everywhere.get_responses
aget_responses = everywhere.aget_responses
delete_responses = everywhere.delete_responses
adelete_responses = everywhere.adelete_responses
cancel_responses = everywhere.cancel_responses
acancel_responses = everywhere.acancel_responses
list_input_items = everywhere.list_input_items
alist_input_items = everywhere.alist_input_items
