"""The price book: the edition that counts now, and those that counted before.

Two things make an edition: a release of the catalogue, and the operator's own prices (the configuration's and the table's). The
book follows the table, so that what `tollbook prices set` writes counts within a second, and records in it which release and
which configuration were in force since when. What a call costs is always decided by the time of the call (`at`); with `as_of`
by an edition that knows only what was known then.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from hashlib import sha256
from threading import Lock, Thread
from typing import Any, NamedTuple, Protocol

from tollbook.call import Cost
from tollbook.config import Deployment, PriceEntry
from tollbook.config.price_list import doubts, show_moment
from tollbook.errors import NotFound, TollbookError, Unavailable
from tollbook.responses.usage import Usage

from . import release
from .catalogue import Catalogue, catalogue_version
from .edition import Edition, check
from .own import OwnPrice, OwnPrices, from_rows, plain, unplain
from .rates import Rates

_POLL = 0.5
"""Seconds between two looks at the table: a change by another process counts after that."""

_log = logging.getLogger("tollbook")


class Kept(NamedTuple):
    """A recorded edition: since when (nanoseconds since 1970) which release and which configuration were in force."""

    seen: int
    release: str
    entries: str
    """Digest of the configuration's price list."""


class Table(Protocol):
    """Where the operator's prices and what was known when are kept: storage/prices.py.

    A row is a dictionary with number, created, actor, note, closes, model, tier, valid_from, valid_until and `said`.
    """

    def version(self) -> object: ...

    def rows(self) -> list[dict[str, Any]]: ...

    def keep(self, release: str, content: Callable[[], bytes], digest: str, entries: str) -> None: ...

    def editions(self) -> Sequence[tuple[int, str, str]]: ...

    def release(self, version: str) -> bytes: ...

    def entries(self, digest: str) -> str: ...


class PriceBook:
    """Prices calls. Safe to use from several threads.

    The catalogue is loaded in a thread, by `warm` or by the first call that needs it. `price` blocks until it is there, so
    an event loop awaits `ready` at its start. Deployments with a price of their own, and the simulated provider, do not
    need it. The table belongs to whoever opened it; without one there is the configuration's price list alone. `keeps`: this
    is a gateway's book, so the table is told which catalogue and which configuration are in force. `listed` stands in for a
    table that cannot be read here.
    """

    def __init__(
        self,
        load: Callable[[], Catalogue] = Catalogue.load,
        *,
        table: Table | None = None,
        keeps: bool = False,
        listed: Iterable[OwnPrice] = (),
    ) -> None:
        self._load = load
        self._table = table
        self._keeps = keeps
        self._loading: Future[Catalogue] | None = None
        self._thread: Thread | None = None
        self._lock = Lock()
        self._looking = Lock()
        self._due = float("inf") if table is None else float("-inf")
        self._seen: object = None
        self._failing = False
        self._config: tuple[OwnPrice, ...] = ()
        self.listed: tuple[OwnPrice, ...] = tuple(listed)
        """The prices of the table, as far as they are known."""
        self._edition = Edition(self._catalogue, OwnPrices(self.listed))
        self._recorded = lru_cache(maxsize=4)(self._unpack)

    @property
    def version(self) -> str:
        """The catalogue's, such as "genai-prices 0.2.3"."""
        return catalogue_version()

    @property
    def edition(self) -> Edition:
        """What counts now. It stays as it is; ask again for what counts later."""
        if time.monotonic() > self._due:
            self._look()
        return self._edition

    def warm(self, deployments: Iterable[Deployment] = (), prices: Sequence[PriceEntry] | None = None) -> None:
        """Begin to load the catalogue and to compile the prices of these deployments; returns at once.

        `prices` is the configuration's price list from now on; None leaves it as it is. Raises ConfigError, naming the
        deployment or the entry, for a price that cannot be applied; then nothing has changed.
        """
        known = tuple(deployments)
        check(known)
        if prices is not None:
            listed = tuple(OwnPrice(entry) for entry in prices)
            for doubt in doubts(prices, time.time_ns()):
                _log.warning("prices: %s", doubt)
            with self._looking:
                self._config = listed
                self._publish()
        begun = self._loading is not None
        loading = self._begin(known)
        if begun and prices is not None:
            loading.add_done_callback(lambda done: None if done.exception() else self._keep())

    async def ready(self) -> None:
        """Wait until the catalogue is loaded and `price` does not block."""
        await asyncio.wrap_future(self._begin())

    def close(self) -> None:
        """Wait for what is under way; after it the table may be closed. Closing twice is closing once."""
        if self._thread is not None:
            self._thread.join()

    def price(
        self,
        provider: str,
        model: str,
        usage: Usage,
        *,
        at: int,
        tier: str | None = None,
        deployment: Deployment | None = None,
        served_model: str | None = None,
        answered: bool = True,
    ) -> Cost:
        """What `usage` cost at `at` (nanoseconds since 1970), by the edition that counts now: see `Edition.price`."""
        if time.monotonic() > self._due:
            self._look()
        return self._edition.price(
            provider,
            model,
            usage,
            at=at,
            tier=tier,
            deployment=deployment,
            served_model=served_model,
            answered=answered,
        )

    def bound(self, deployment: Deployment, usage: Usage, *, tier: str | None = None) -> Cost:
        """What a call with this usage would cost at a deployment now. Asking changes nothing and costs microseconds."""
        return self.price(
            deployment.provider, deployment.model, usage, at=time.time_ns(), tier=tier, deployment=deployment
        )

    def known(self, deployment: Deployment) -> bool:
        """Whether a deployment's model has a price now. Where only the provider tells what a call cost, it has none before."""
        return self.rates(deployment.provider, deployment.model, deployment) is not None

    def units(
        self,
        provider: str,
        model: str,
        deployment: Deployment,
        *,
        at: int,
        tier: str | None = None,
        served_model: str | None = None,
    ) -> tuple[str, ...]:
        """What must be counted beside tokens, so that a call can be priced: see `Edition.units`."""
        return self.edition.units(provider, model, deployment, at=at, tier=tier, served_model=served_model)

    def rates(self, provider: str, model: str, deployment: Deployment | None = None) -> Rates | None:
        """The standard rates of today, for display; None where the model is unpriced."""
        return self.edition.rates(provider, model, deployment)

    # ------------------------------------------------------------------------------------------------ what counted before

    def releases(self) -> list[Kept]:
        """The editions that were in force here, oldest first; the own prices that came between are in `Table.rows`."""
        return [Kept(*one) for one in self._table.editions()] if self._table is not None else []

    def as_of(self, moment: int) -> Edition:
        """The edition that counted at a moment (nanoseconds since 1970): the release of the catalogue that was installed, and
        the own prices that were known. It prices calls of any time.

        Blocks: it reads the table, and it may have to load a release. Raises NotFound for a time of which nothing is recorded.
        """
        kept = [one for one in self.releases() if one.seen <= moment]
        if not kept:
            first = next(iter(self.releases()), None)
            since = f"Prices are recorded since {show_moment(first.seen)}." if first else "No prices are recorded yet."
            raise NotFound(f"It is not known what counted at {show_moment(moment)}. {since}", code="prices_unknown")
        assert self._table is not None
        config = [OwnPrice(entry) for entry in _entries(self._table.entries(kept[-1].entries))]
        own = OwnPrices([*config, *from_rows(self._table.rows(), as_of=moment)])
        return Edition(self._catalogue_of(kept[-1].release), own)

    def at_version(self, version: str) -> Edition:
        """The own prices of now beside another release of the catalogue, such as "genai-prices 0.2.2".

        Blocks as `as_of` does. Raises NotFound, naming those that are recorded, for a release that is not.
        """
        known = list(dict.fromkeys([self.version, *(kept.release for kept in self.releases())]))
        if version not in known:
            raise NotFound(
                f"There is no price catalogue {version!r}. Known: {', '.join(known)}.", code="prices_unknown"
            )
        return Edition(self._catalogue_of(version), self.edition.own)

    def _catalogue_of(self, version: str) -> Callable[[], Catalogue]:
        if version == self.version:
            return self._catalogue
        found = self._recorded(version)
        return lambda: found

    def _unpack(self, version: str) -> Catalogue:
        assert self._table is not None
        return Catalogue(release.unpack(self._table.release(version)), version)

    # -------------------------------------------------------------------------------------------------------- the table

    def _look(self) -> None:
        """See whether the table has changed. Whoever comes while another looks goes on with what is there."""
        if self._table is None or not self._looking.acquire(blocking=False):
            return
        try:
            self._due = time.monotonic() + _POLL
            seen = self._table.version()
            if seen != self._seen:
                self.listed = tuple(from_rows(self._table.rows()))
                self._seen = seen
                self._publish()
        except TollbookError as failure:  # said once; what was read before goes on
            if not self._failing:
                _log.error("Own prices cannot be read: %s", failure.message)
            self._failing = True
        else:
            self._failing = False
        finally:
            self._looking.release()

    def _publish(self) -> None:
        self._edition = Edition(self._catalogue, OwnPrices([*self._config, *self.listed]))

    def _keep(self) -> None:
        """Record which release and which configuration are in force from now on, unless they were before."""
        table = self._table
        if table is None or not self._keeps:
            return
        catalogue = self._catalogue()
        entries = json.dumps([plain(price.entry) for price in self._config], sort_keys=True, default=str)
        digest = sha256(entries.encode()).hexdigest()
        try:
            table.keep(catalogue.version, lambda: release.pack(catalogue.providers), digest, entries)
        except Unavailable as failure:
            _log.error("The price catalogue in force was not recorded: %s", failure.message)

    # ---------------------------------------------------------------------------------------------------- the catalogue

    def _catalogue(self) -> Catalogue:
        return self._begin().result()

    def _begin(self, deployments: Sequence[Deployment] = ()) -> Future[Catalogue]:
        """The load, begun if it was not. It also makes the first call of each deployment a fast one."""
        with self._lock:
            if self._loading is None:
                loading: Future[Catalogue] = Future()
                loading.set_running_or_notify_cancel()  # one impatient `ready` must not cancel it for all
                self._loading = loading
                self._thread = Thread(target=self._run, args=(loading, deployments), name="tollbook-prices")
                self._thread.start()
            return self._loading

    def _run(self, loading: Future[Catalogue], deployments: Sequence[Deployment]) -> None:
        try:
            loading.set_result(self._load())
        except Exception as failure:  # whoever asks for a price hears of it
            loading.set_exception(failure)
            return
        for deployment in deployments:
            self.rates(deployment.provider, deployment.model, deployment)
        self._keep()


def _entries(text: str) -> list[PriceEntry]:
    found: list[Mapping[str, Any]] = json.loads(text)
    return [unplain(values) for values in found]
