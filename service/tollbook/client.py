"""`Router`: the gateway in your own process, with the configuration of the server."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, cast, overload
from weakref import WeakSet

from . import text_format as formats
from .errors import InvalidRequest
from .objects import Deleted, ItemList, ParsedResponse, Response
from .parameters import Asked, Input, Parameters, asked
from .streams import AsyncStream, Stream

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import TracerProvider

    from .config import Config
    from .engine import Engine
    from .pricing.own import OwnPrice

T = TypeVar("T")

MEMORY = ":memory:"
CONFIGURED = "configured"

_log = logging.getLogger("tollbook")


class Router:
    """Calls models through the whole gateway - routing, retries, fallbacks, costs, books, traces - without a server.

    `model_list`, the keyword arguments (which are the `router_settings`), `litellm_settings`, `general_settings`, `telemetry`
    and `prices` are those of the server's config.yaml; `Router.from_config` reads such a file. `os.environ/NAME` is replaced
    when the Router is made. Without `model_list` every provider is served that has credentials in the environment.
    Raises ConfigError naming every problem.

    `store` is where conversations and costs are kept: a folder (one process at a time may own it), ":memory:", or None
    for nowhere, and then nothing can be followed up. "configured" means the folder that TOLLBOOK_DATA_DIR or
    `general_settings.data_dir` name, else memory.

    `tracer_provider` gets the spans; without it, they go to the process's own provider, if it has set one.

    One Router serves any number of threads and event loops at once. After a fork the child begins afresh: its own
    connections, its own books. `close`, `aclose` or a `with` block finish what is under way; at exit it is done by itself.
    """

    def __init__(
        self,
        model_list: Sequence[Mapping[str, Any]] | None = None,
        *,
        store: str | os.PathLike[str] | None = CONFIGURED,
        tracer_provider: TracerProvider | None = None,
        router_settings: Mapping[str, Any] | None = None,
        litellm_settings: Mapping[str, Any] | None = None,
        general_settings: Mapping[str, Any] | None = None,
        telemetry: Mapping[str, Any] | None = None,
        prices: Sequence[Mapping[str, Any]] | None = None,
        **settings: Any,
    ) -> None:
        from .config import config_from

        sections = {
            "model_list": model_list,
            "router_settings": {**(router_settings or {}), **settings},
            "litellm_settings": litellm_settings,
            "general_settings": general_settings,
            "telemetry": telemetry,
            "prices": prices,
        }
        environment = dict(os.environ)
        config = config_from({name: said for name, said in sections.items() if said}, environment)
        self._configure(config, environment)
        self._begin(store, tracer_provider)

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str],
        *,
        store: str | os.PathLike[str] | None = CONFIGURED,
        tracer_provider: TracerProvider | None = None,
    ) -> Self:
        """A Router with the server's configuration file. Raises ConfigError, each problem with its line."""
        from .config import load_config

        environment = dict(os.environ)
        router = cls.__new__(cls)
        router._configure(load_config(Path(path), environment), environment)
        router._begin(store, tracer_provider)
        return router

    def _configure(self, config: Config, environment: Mapping[str, str]) -> None:
        for warning in config.warnings:
            _log.warning("%s", warning)
        self._config = config
        self._environment = environment

    def _begin(
        self,
        store: str | os.PathLike[str] | None,
        tracer_provider: TracerProvider | None,
        *,
        anywhere: bool = False,
    ) -> None:
        self._store = store
        self._tracer_provider = tracer_provider
        self._anywhere = anywhere
        self._made: Engine | None = None
        self._making = threading.Lock()
        self._inherited = False
        self._own_prices: Sequence[OwnPrice] = ()
        self._closed = False
        _routers.add(self)

    # ------------------------------------------------------------------------------------------------------- create

    @overload
    def responses(
        self,
        input: Input | None = None,
        model: str | None = None,
        *,
        stream: Literal[True],
        text_format: Any = None,
        **parameters: Unpack[Parameters],
    ) -> Stream: ...
    @overload
    def responses(
        self,
        input: Input | None = None,
        model: str | None = None,
        *,
        text_format: type[T],
        stream: Literal[False] | None = None,
        **parameters: Unpack[Parameters],
    ) -> ParsedResponse[T]: ...
    @overload
    def responses(
        self,
        input: Input | None = None,
        model: str | None = None,
        *,
        stream: Literal[False] | None = None,
        text_format: Mapping[str, Any] | None = None,
        **parameters: Unpack[Parameters],
    ) -> Response: ...
    @overload
    def responses(
        self,
        input: Input | None = None,
        model: str | None = None,
        *,
        stream: bool | None,
        text_format: Any = None,
        **parameters: Unpack[Parameters],
    ) -> Response | Stream: ...

    def responses(
        self,
        input: Input | None = None,  # noqa: A002 - the API calls it input
        model: str | None = None,
        *,
        stream: bool | None = None,
        text_format: Any = None,
        **parameters: Unpack[Parameters],
    ) -> Response | Stream:
        """Make a response, and wait for it; with `stream=True` an iterator of its events.

        `text_format` is a Pydantic class (`response.output_parsed` is then an object of it) or a format of the API. The
        other keywords are those of the API, and where and how the call is made: see `Parameters`. Works in a thread that
        runs an event loop, too, but keeps it waiting: `aresponses` does not. Raises a TollbookError, for a provider's
        failure UpstreamError, once everything that the configuration allows was tried.
        """
        request, parse = _asked(input, model, stream, text_format, parameters)
        engine = self._engine()
        if stream:
            return Stream(engine.background.run(engine.stream(request, parse)), engine.background)
        call = engine.background.run(engine.create(request))
        return _response(text_format)(call.response).made_by(call, parse)

    @overload
    async def aresponses(
        self,
        input: Input | None = None,
        model: str | None = None,
        *,
        stream: Literal[True],
        text_format: Any = None,
        **parameters: Unpack[Parameters],
    ) -> AsyncStream: ...
    @overload
    async def aresponses(
        self,
        input: Input | None = None,
        model: str | None = None,
        *,
        text_format: type[T],
        stream: Literal[False] | None = None,
        **parameters: Unpack[Parameters],
    ) -> ParsedResponse[T]: ...
    @overload
    async def aresponses(
        self,
        input: Input | None = None,
        model: str | None = None,
        *,
        stream: Literal[False] | None = None,
        text_format: Mapping[str, Any] | None = None,
        **parameters: Unpack[Parameters],
    ) -> Response: ...
    @overload
    async def aresponses(
        self,
        input: Input | None = None,
        model: str | None = None,
        *,
        stream: bool | None,
        text_format: Any = None,
        **parameters: Unpack[Parameters],
    ) -> Response | AsyncStream: ...

    async def aresponses(
        self,
        input: Input | None = None,  # noqa: A002 - the API calls it input
        model: str | None = None,
        *,
        stream: bool | None = None,
        text_format: Any = None,
        **parameters: Unpack[Parameters],
    ) -> Response | AsyncStream:
        """As `responses`, in this event loop: `async for event in await router.aresponses(..., stream=True)`."""
        request, parse = _asked(input, model, stream, text_format, parameters)
        engine = await self._ready()
        if stream:
            return AsyncStream(await engine.stream(request, parse))
        call = await engine.create(request)
        return _response(text_format)(call.response).made_by(call, parse)

    # ------------------------------------------------------------------------------------------ what was made before

    @overload
    def get_responses(
        self, response_id: str, *, stream: Literal[True], starting_after: int | None = None, **place: Any
    ) -> Stream: ...
    @overload
    def get_responses(
        self, response_id: str, *, stream: Literal[False] | None = None, starting_after: int | None = None, **place: Any
    ) -> Response: ...

    def get_responses(
        self, response_id: str, *, stream: bool | None = None, starting_after: int | None = None, **place: Any
    ) -> Response | Stream:
        """A response that was made before; with `stream=True` its events again, those numbered beyond `starting_after`.

        One that is still being made in background is asked for at its provider. Raises NotFound for an id that this
        Router's store does not have.
        """
        engine = self._engine()
        if stream:
            after = -1 if starting_after is None else starting_after
            return Stream(engine.background.run(engine.again(response_id, _place(place), after)), engine.background)
        call, body = engine.background.run(engine.get(response_id, _place(place)))
        return Response(body).made_by(call)

    @overload
    async def aget_responses(
        self, response_id: str, *, stream: Literal[True], starting_after: int | None = None, **place: Any
    ) -> AsyncStream: ...
    @overload
    async def aget_responses(
        self, response_id: str, *, stream: Literal[False] | None = None, starting_after: int | None = None, **place: Any
    ) -> Response: ...

    async def aget_responses(
        self, response_id: str, *, stream: bool | None = None, starting_after: int | None = None, **place: Any
    ) -> Response | AsyncStream:
        """As `get_responses`, in this event loop."""
        engine = await self._ready()
        if stream:
            after = -1 if starting_after is None else starting_after
            return AsyncStream(await engine.again(response_id, _place(place), after))
        call, body = await engine.get(response_id, _place(place))
        return Response(body).made_by(call)

    def delete_responses(self, response_id: str, **place: Any) -> Deleted:
        """Delete a response, at its provider, too. What it cost stays in the books. Raises NotFound."""
        engine = self._engine()
        return Deleted(engine.background.run(engine.delete(response_id, _place(place))))

    async def adelete_responses(self, response_id: str, **place: Any) -> Deleted:
        """As `delete_responses`, in this event loop."""
        engine = await self._ready()
        return Deleted(await engine.delete(response_id, _place(place)))

    def cancel_responses(self, response_id: str, **place: Any) -> Response:
        """Stop a response that is made in background. Raises NotFound, and InvalidRequest for any other response."""
        engine = self._engine()
        call, body = engine.background.run(engine.cancel(response_id, _place(place)))
        return Response(body).made_by(call)

    async def acancel_responses(self, response_id: str, **place: Any) -> Response:
        """As `cancel_responses`, in this event loop."""
        engine = await self._ready()
        call, body = await engine.cancel(response_id, _place(place))
        return Response(body).made_by(call)

    def list_input_items(
        self,
        response_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> ItemList:
        """A page of the items that a response had as input, the conversation before it included: those beyond the item
        `after`, newest first unless `order` is "asc". Raises NotFound."""
        engine = self._engine()
        return ItemList(engine.background.run(engine.input_items(response_id, _page(after, limit, order))))

    async def alist_input_items(
        self,
        response_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> ItemList:
        """As `list_input_items`, in this event loop."""
        engine = await self._ready()
        return ItemList(await engine.input_items(response_id, _page(after, limit, order)))

    # -------------------------------------------------------------------------------------------------------- ending

    def close(self) -> None:
        """Finish every booking, close connections and files. Calls under way are cancelled; later ones raise RuntimeError.

        In a thread that runs an event loop await `aclose` instead: that loop's own bookings cannot be waited for here.
        """
        engine = self._end()
        if engine is not None:
            engine.close()

    async def aclose(self) -> None:
        """As `close`, from an event loop."""
        engine = self._end()
        if engine is not None:
            await engine.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _end(self) -> Engine | None:
        with self._making:
            engine, self._made, self._closed = self._made, None, True
        return engine

    # -------------------------------------------------------------------------------------------------------- engine

    def _engine(self) -> Engine:
        """This process's engine, made with the first call."""
        if self._made is None:
            with self._making:
                if self._closed:
                    raise RuntimeError("This Router is closed.")
                if self._made is None:
                    self._made = self._make(self._config, self._environment)
        return self._made

    async def _ready(self) -> Engine:
        """The same; the disk and heavy imports are left to a thread."""
        return self._made if self._made is not None else await asyncio.to_thread(self._engine)

    def _make(self, config: Config, environment: Mapping[str, str]) -> Engine:
        from .engine import Engine

        engine = Engine(
            config,
            environment,
            store=self._directory(config),
            memory=self._store in (MEMORY, CONFIGURED),
            tracer_provider=self._tracer_provider,
            anywhere=self._anywhere,
            inherited=self._inherited,
            own_prices=self._own_prices,
        )
        _engines.add(engine)
        # What is registered last is done first: before the store's own last words.
        atexit.unregister(_at_exit)
        atexit.register(_at_exit)
        return engine

    def _directory(self, config: Config) -> Path | None:
        if self._store == CONFIGURED:
            from .config.types import DEFAULT_DATA_DIR

            return None if config.data_dir == DEFAULT_DATA_DIR else config.data_dir
        return None if self._store in (None, MEMORY) else Path(cast("str", self._store)).expanduser()

    def begin_afresh(self) -> None:
        """After a fork: threads, loops and connections are the parent's, and none of them may be touched, nor freed."""
        if self._made is not None:
            _keep_for_ever(self._made)
            self._own_prices = self._made.own_prices
            self._made, self._inherited = None, True
        self._making = threading.Lock()


def _asked(
    input: Input | None,  # noqa: A002
    model: str | None,
    stream: bool | None,
    text_format: Any,
    parameters: Mapping[str, Any],
) -> tuple[Asked, Callable[[str], Any] | None]:
    found = asked({"model": model, "input": input, "stream": stream or None, **parameters})
    return found, formats.apply(found.request, text_format)


def _response(text_format: Any) -> type[Response]:
    return ParsedResponse if isinstance(text_format, type) else Response


def _place(keywords: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a stored response is asked for. `custom_llm_provider` says nothing here: its deployment is known."""
    return asked({name: value for name, value in keywords.items() if name != "custom_llm_provider"}).place


def _page(after: str | None, limit: int, order: str) -> dict[str, Any]:
    if order not in ("asc", "desc"):
        raise InvalidRequest(f"Invalid value for 'order': {order!r}.", param="order", code="invalid_value")
    if not 1 <= limit <= 100:
        raise InvalidRequest("Invalid value for 'limit': expected 1 to 100.", param="limit", code="invalid_value")
    return {"after": after, "limit": limit, "order": order}


_routers: WeakSet[Router] = WeakSet()
_engines: WeakSet[Engine] = WeakSet()


def _at_exit() -> None:
    """Hang up and book. The stores close themselves: they are the last to go."""
    for engine in tuple(_engines):
        if engine.background.usable:
            engine.leave_loops()


def _keep_for_ever(thing: object) -> None:
    """One reference too many, so that not even the end of the process takes it apart: a database that is closed twice,
    here and by the process that opened it, is a broken one."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _forked() -> None:
    for router in tuple(_routers):
        router.begin_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
