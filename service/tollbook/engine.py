"""What a `Router` needs in one process: the gateway with its books and connections, and a loop for callers without one.

Any number of event loops and threads use one engine. What belongs to a loop (connections, bookings under way) is let go
when that loop ends.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .access import owner
from .access.keys import NOBODY
from .blocking import Background
from .books import Books
from .call import Call, Operation
from .config import Config, Deployment, Route, config_from
from .errors import ConfigError, InvalidRequest, NotFound, TollbookError, Unavailable
from .gateway import Answer, Gateway
from .parameters import Asked
from .pricing.book import PriceBook
from .pricing.edition import check as check_prices
from .responses import request as requests
from .storage import Store, connect_store, open_store
from .streams import Feed
from .telemetry.genai import Manner
from .telemetry.guest import GuestSpans
from .transport.wire import encode
from .upstream import Upstream

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from .pricing.own import OwnPrice
    from .responses.types import Response as Body
    from .storage.makers import MakerTable
    from .storage.prices import PriceTable

_VARIANTS = 128
"""Ways of calling (credentials, addresses, limits given with a call) whose connections and tokens are kept."""

_LEAVING = 10.0
"""Seconds that another thread's loop may take to finish its bookings when the engine is closed."""

_PLACE = "model_list[0].litellm_params."


class Engine:
    """The parts of one `Router` in this process. Making it opens the store, so it may take a tenth of a second.

    With `anywhere` also models that the configuration does not list are served, by the provider in their name.
    `inherited`: this process was forked from one that owns the store, and knew `own_prices`. Raises ConfigError when another
    process does.
    """

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        *,
        store: Path | None,
        memory: bool,
        tracer_provider: TracerProvider | None,
        anywhere: bool,
        inherited: bool,
        own_prices: Sequence[OwnPrice] = (),
    ) -> None:
        check_prices(config.deployments.values())  # before anything is opened
        spans = GuestSpans(tracer_provider, Manner.of(config.telemetry))
        opened = _store(config, store, memory=memory, inherited=inherited)
        # SQLite takes the locks that a parent held at the fork for its child's own: a child goes on with what was known then
        # (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
        self._price_table = _price_table(store) if store is not None and not inherited else None
        self._prices = PriceBook(table=self._price_table, keeps=True, listed=own_prices)
        self.books = Books(opened, self._prices, [spans])
        self.background = Background()
        self._upstream = Upstream()
        self._makers = _makers(store) if store is not None and not inherited else None
        self._anywhere = anywhere
        self._guards: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}
        self._lock = threading.Lock()
        self._recovered = False
        self._variants: OrderedDict[bytes, Gateway] = OrderedDict()
        self.reconfigure(config, environment)

    @property
    def own_prices(self) -> Sequence[OwnPrice]:
        """The prices of the store's table, as far as they are known here. Touches no file."""
        return self._prices.listed

    def reconfigure(self, config: Config, environment: Mapping[str, str]) -> None:
        """From the next call on another configuration counts; the books go on."""
        self._prices.warm(config.deployments.values(), config.prices)
        with self._lock:
            self.environment = environment
            self._config = config
            self._variants.clear()
            self._gateway = self._gateway_for(config)

    def _gateway_for(self, config: Config) -> Gateway:
        return Gateway(
            config, books=self.books, environment=self.environment, upstream=self._upstream, makers=self._makers
        )

    # ------------------------------------------------------------------------------------------------------- verbs

    async def create(self, asked: Asked) -> Call:
        """Make a whole response; the call holds it."""
        call, gateway = await self._begin(asked)
        await gateway.create(call, asked.request, NOBODY)
        return call

    async def stream(self, asked: Asked, parse: Callable[[str], Any] | None) -> Feed:
        """Begin a response and wait for its first output: until then a failure is an exception."""
        call, gateway = await self._begin(asked)
        return await Feed.begin(gateway.stream(call, asked.request, NOBODY), parse)

    async def again(self, response_id: str, place: Mapping[str, Any], after: int) -> Feed:
        """The events of a stored response again, those numbered beyond `after`."""
        gateway, call = await self._stored("get", response_id, place)
        return await Feed.begin(Answer(call, await gateway.stored.again(call, response_id, NOBODY, after=after)), None)

    async def get(self, response_id: str, place: Mapping[str, Any]) -> tuple[Call, Body]:
        gateway, call = await self._stored("get", response_id, place)
        return call, await gateway.stored.get(call, response_id, NOBODY)

    async def cancel(self, response_id: str, place: Mapping[str, Any]) -> tuple[Call, Body]:
        gateway, call = await self._stored("cancel", response_id, place)
        return call, await gateway.stored.cancel(call, response_id, NOBODY)

    async def delete(self, response_id: str, place: Mapping[str, Any]) -> dict[str, Any]:
        gateway, call = await self._stored("delete", response_id, place)
        return await gateway.stored.delete(call, response_id, NOBODY)

    async def input_items(self, response_id: str, page: Mapping[str, Any]) -> dict[str, Any]:
        gateway, call = await self._stored("input_items", response_id, {})
        return await gateway.stored.input_items(call, response_id, NOBODY, **page)

    async def _begin(self, asked: Asked) -> tuple[Call, Gateway]:
        """A call and who makes it. A request that cannot be is booked as one that was refused."""
        await self.enter()
        call = self.books.begin("create")
        request = asked.request
        try:
            requests.check(request)
            gateway = self._gateway_of(str(request.get("model") or ""), asked.place)
        except TollbookError as error:
            call.model = str(request.get("model") or "")
            await self.books.end(call, "rejected", error=error)
            raise
        call.end_user, call.tags = owner.end_user(request, {}), owner.tags(request, {})
        call.task = owner.task(request)
        call.metadata = request.get("metadata") or {}
        return call, gateway

    async def _stored(self, operation: Operation, response_id: str, place: Mapping[str, Any]) -> tuple[Gateway, Call]:
        """Who may ask the provider of a stored response: the one told by `place`, else one that knows its deployment."""
        await self.enter()
        gateway = self._gateway
        with suppress(NotFound):  # which the verb itself will tell, and book
            turn = await self.books.store.turn(response_id, NOBODY.scope)
            if place:
                gateway = self._gateway_of(turn.model, place)
            elif turn.deployment not in gateway.config.deployments:
                with self._lock:
                    known = [each for each in self._variants.values() if turn.deployment in each.config.deployments]
                gateway = known[-1] if known else gateway
        return gateway, self.books.begin(operation)

    # ------------------------------------------------------------------------------------------- where a call is made

    def _gateway_of(self, model: str, place: Mapping[str, Any]) -> Gateway:
        """The gateway for a model, with what this call says of its place. Raises InvalidRequest for what cannot be."""
        gateway = self._gateway
        if not place and (not self._anywhere or gateway.router.find(model) is not None):
            return gateway
        key = encode([model, place])
        with self._lock:
            found = self._variants.get(key)
            if found is None:
                found = self._variants[key] = self._gateway_for(self._varied(model, place))
                if len(self._variants) > _VARIANTS:
                    self._variants.popitem(last=False)
            self._variants.move_to_end(key)
            return found

    def _varied(self, model: str, place: Mapping[str, Any]) -> Config:
        config = self._config
        route = config.route(model)
        if route is not None:
            varied = {each.id: each for each in (self._over(deployment, place) for deployment in route.deployments)}
            route = replace(route, deployments=tuple(varied.values()))
        elif self._anywhere and model and "*" not in model:
            route = Route(name=model, deployments=(self._read(model, model, place),))
        else:
            return config
        own = {each.id: each for each in route.deployments}
        settings = config.router
        return replace(
            config,
            routes={**config.routes, route.name: route},
            deployments={**config.deployments, **own},
            # They may be listed under the wildcard that this name was served by.
            router=replace(
                settings,
                fallbacks={**settings.fallbacks, route.name: route.fallbacks},
                context_window_fallbacks={
                    **settings.context_window_fallbacks,
                    route.name: route.context_window_fallbacks,
                },
                content_policy_fallbacks={
                    **settings.content_policy_fallbacks,
                    route.name: route.content_policy_fallbacks,
                },
            ),
        )

    def _over(self, deployment: Deployment, place: Mapping[str, Any]) -> Deployment:
        """A deployment with what this call says of it. Where it moves house it is another one: it knows nothing of the
        responses that were made at the old place."""
        model = f"{deployment.provider}/{deployment.model}"
        plain, given = self._read(deployment.name, model, {}), self._read(deployment.name, model, place)
        moved = given.id != plain.id
        changes: dict[str, Any] = {}
        for name in (field.name for field in fields(Deployment)):
            old, new = getattr(deployment, name), getattr(given, name)
            if new == getattr(plain, name) or (name == "id" and not moved):
                continue
            changes[name] = {**old, **new} if isinstance(old, Mapping) else new
        if "timeouts" in changes:
            told = {part.name: getattr(given.timeouts, part.name) for part in fields(given.timeouts)}
            default = {part: getattr(plain.timeouts, part) for part in told}
            changed = {part: seconds for part, seconds in told.items() if seconds != default[part]}
            changes["timeouts"] = replace(deployment.timeouts, **changed)
        return replace(deployment, **changes)

    def _read(self, name: str, model: str, place: Mapping[str, Any]) -> Deployment:
        """A deployment as a configuration would say it, so that the same rules hold."""
        entry = {"model_name": name, "litellm_params": {"model": model, **place}}
        try:
            (deployment,) = config_from({"model_list": [entry]}, self.environment).deployments.values()
        except ConfigError as wrong:
            raise InvalidRequest(wrong.message.replace(_PLACE, ""), code="invalid_value") from None
        return deployment

    # --------------------------------------------------------------------------------------------------- event loops

    async def enter(self) -> None:
        """This event loop will be left in good order: `asyncio.run` closes the generators that were begun in it."""
        loop = asyncio.get_running_loop()
        if loop not in self._guards:
            self._guards[loop] = guard = self._guard()
            await anext(guard)
            await self._prices.ready()
            with self._lock:
                recovered, self._recovered = self._recovered, True
            if not recovered:
                self.books.later(self._recover())

    async def _recover(self) -> None:
        with suppress(Unavailable):  # the next process finds them
            await self.books.recover(self._config.deployments)

    async def _guard(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self._leave()

    async def _leave(self) -> None:
        """Finish the bookings of this loop and close its connections."""
        await self.books.settle()
        await self._upstream.aclose()
        self._guards.pop(asyncio.get_running_loop(), None)

    def leave_loops(self) -> None:
        """End the background loop, and leave those of other threads. One that runs in this thread is left when it ends."""
        self.background.stop()
        for loop in tuple(self._guards):
            if loop.is_running() and loop is not _running_loop():
                leaving = self._leave()
                try:
                    asyncio.run_coroutine_threadsafe(leaving, loop).result(_LEAVING)
                except (RuntimeError, TimeoutError):  # it ended at this moment, or is busy with something else
                    leaving.close()

    def close(self) -> None:
        """Finish every booking, close connections and files."""
        self.leave_loops()
        last = Background()
        last.run(self.books.store.close())
        last.stop()
        if self._makers is not None:
            self._makers.close()
        self._prices.close()
        if self._price_table is not None:
            self._price_table.close()

    async def aclose(self) -> None:
        """The same from an event loop."""
        await self._leave()
        await asyncio.to_thread(self.close)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _price_table(directory: Path) -> PriceTable:
    from .storage.prices import PriceTable

    return PriceTable(directory)


def _makers(directory: Path) -> MakerTable:
    from .storage.makers import MakerTable

    return MakerTable(directory)


def _store(config: Config, directory: Path | None, *, memory: bool, inherited: bool) -> Store:
    content = config.general.store_prompts_in_spend_logs
    if directory is not None and inherited:
        return connect_store(directory, worker=f"fork-{os.getpid()}", content=content)
    if directory is not None or memory:
        return open_store(directory, retention_days=config.general.retention_days, content=content)
    from .storage.off import NoStore

    return NoStore()
