"""Another configuration for a gateway that runs: read, checked, then swapped - or refused, and the old one goes on.

Models, their deployments, the router's settings, budgets and limits are swapped. What is fixed at the start (master key, data
directory, retention, telemetry, size of requests) stays as it was; the log says when the file wants it otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from tollbook.access.keys import Keys
from tollbook.config import Config, load_config
from tollbook.errors import TollbookError
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook
from tollbook.providers.registry import endpoint_of

_log = logging.getLogger("tollbook")


class Reload:
    """Reads a gateway's file again. One at a time, in the order they are asked for."""

    def __init__(self, gateway: Gateway, prices: PriceBook, keys: Keys, environment: Mapping[str, str]) -> None:
        self._gateway = gateway
        self._keys = keys
        self._prices = prices
        self._environment = environment
        self._lock = asyncio.Lock()

    async def __call__(self) -> None:
        """Serve by the file as it is now, if it is right; the log says how it went."""
        async with self._lock:
            old = self._gateway.config
            if old.source is None:
                _log.warning("nothing to reload: the gateway was started without a file")
                return
            try:
                new = await asyncio.to_thread(self._read, old)
            except TollbookError as refused:
                _log.error("the new configuration is refused, the old one goes on: %s", refused.message)
                return
            except Exception:
                _log.exception("the new configuration cannot be read, the old one goes on")
                return
            for name, before, after in _fixed(old, new):
                if before != after:
                    _log.warning("%s has changed; that takes effect when the gateway is started again", name)
            self._gateway.reload(replace(new, general=old.general, telemetry=old.telemetry, data_dir=old.data_dir))
            await asyncio.to_thread(self._keys.configure, new.budgets, new.limits)
            _log.warning("configuration reloaded: %d models, %d deployments", len(new.routes), len(new.deployments))

    def _read(self, old: Config) -> Config:
        assert old.source is not None
        new = load_config(old.source, self._environment)
        for deployment in new.deployments.values():
            if "*" not in deployment.provider + deployment.model:
                endpoint_of(deployment, self._environment)
        self._prices.warm(new.deployments.values(), new.prices)
        return new


def _fixed(old: Config, new: Config) -> Iterator[tuple[str, object, object]]:
    yield "general_settings", old.general, new.general
    yield "telemetry", old.telemetry, new.telemetry


@contextmanager
def on_hangup(work: Callable[[], object]) -> Iterator[None]:
    """Do `work` at each SIGHUP, which is ignored before and after (`ignore_hangup`). Elsewhere than in the main thread, where
    no signal arrives, nothing happens."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, work)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        ignore_hangup()


def ignore_hangup() -> None:
    """A SIGHUP that comes too early or too late to be followed must not end the process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
