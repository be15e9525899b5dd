"""The story of a request.

    recall      what came before: the chain of `previous_response_id`, by its owner
    choose      a deployment, the parent's own first
    write       the request in that deployment's language
    ask         send it, read the answer, give on its events; before the first output a failure is invisible
    book        price it, make it durable - and only then say that it is complete

HTTP, streams and the SDK are doors of this one object.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from time import time_ns
from typing import Any, Literal, TypeVar

from . import attachments, tokens
from .access.keys import Caller, allow_model, may_use
from .call import Attempt, Call, Observer, Operation, Outcome
from .config import Config, Deployment
from .dialects import Reader, Written
from .errors import Conflict, InvalidRequest, NotFound, TollbookError, Unsupported, UpstreamError
from .pricing.book import PriceBook
from .providers import Endpoint
from .providers.registry import endpoint_of
from .responses import ids
from .responses import request as requests
from .responses.draft import Draft
from .responses.replay import replay
from .responses.types import Item, Request, Response
from .routing.router import Choice, Router
from .storage import Store, Turn
from .transport.frame import Frame
from .upstream import Upstream, place

_OURS = ("disable_fallbacks", "fallbacks", "num_retries", "model", "input", "stream")
"""Fields of a request that are the gateway's own business or kept apart from the parameters."""


T = TypeVar("T")

_log = logging.getLogger("tollbook")


COST_WANTED = "usage.cost"
"""In `include`: the response's usage gets a `cost` in USD. Only when asked for, because strict clients know no such field."""


@dataclass(slots=True)
class Answer:
    """A response on its way; `call.response` is it once the frames have ended."""

    call: Call
    frames: AsyncGenerator[list[Frame]]
    """The events in batches; the first batch holds the first output, the last one comes after the books are kept."""


@dataclass(slots=True)
class History:
    """What came before a request: the turn it follows, and the whole chain once somebody needs it."""

    parent: Turn | None = None
    chain: Sequence[Turn] | None = None


class Gateway:
    """Creates, streams, gets, deletes and follows up. One object serves any number of callers at once.

    `clock` answers nanoseconds since 1970. Call `start` before the first request and `close` after the last.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        book: PriceBook,
        environment: Mapping[str, str],
        observers: Sequence[Observer] = (),
        upstream: Upstream | None = None,
        router: Router | None = None,
        make_id: ids.MakeId = ids.make_id,
        clock: Any = time_ns,
    ) -> None:
        self.config = config
        self.store = store
        self.router = router or Router(config)
        self._book = book
        self._environment = environment
        self._observers = tuple(observers)
        self._upstream = upstream or Upstream()
        self._make_id = make_id
        self._clock = clock
        self._endpoints: dict[tuple[str, str, str], Endpoint] = {}
        self._pending: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Finish the bookings that are under way, then let go of connections and files."""
        while self._pending:
            await asyncio.gather(*self._pending, return_exceptions=True)
        await self._upstream.aclose()
        await self.store.close()

    # ---------------------------------------------------------------------------------------------------- the calls

    def begin(self, operation: Operation) -> Call:
        """A new call, known to the observers. It must end in one of the verbs below, or in `reject`."""
        call = Call(id=self._make_id("call"), operation=operation, started=self._clock())
        for observer in self._observers:
            observer.begins(call)
        return call

    async def reject(self, call: Call, error: TollbookError) -> None:
        """Book a call that was refused before any upstream was asked."""
        await self._end(call, "rejected", error=error)

    async def create(self, call: Call, request: Request, caller: Caller) -> Response:
        """A whole response. Raises TollbookError; either way the call is booked before this returns."""
        async with aclosing(self._answer(call, request, caller)) as frames:
            async for _ in frames:
                pass
        return call.response

    def stream(self, call: Call, request: Request, caller: Caller) -> Answer:
        """A response in events (`request["stream"]`), or in none. Iterating `frames` does the work.

        A failure before the first output raises TollbookError; one after it is told by the last two events. Closing
        `frames` early closes the upstream connection at once and books the call as cancelled by the client.
        """
        return Answer(call, self._answer(call, request, caller))

    async def _answer(self, call: Call, request: Request, caller: Caller) -> AsyncGenerator[list[Frame]]:
        booked = False
        try:
            _note(call, request)
            allow_model(caller, call.model)
            route = self.router.route(call.model)
            request, history = await self._recall(call, request, caller)
            plan = self.router.plan(route, pinned=history.parent.deployment if history.parent else None)
            failure: UpstreamError | None = None
            while (choice := plan.next(failure)) is not None:
                if choice.delay:
                    await asyncio.sleep(choice.delay)
                trial = await self._prepare(call, choice, request, history, caller)
                failure = None
                try:
                    async with aclosing(self._try(call, trial)) as batches:
                        async for frames in batches:
                            yield frames
                except UpstreamError as error:
                    if not trial.given:
                        failure = error
                        continue
                    trial.draft.fail(error)
                turn = self._turn(call, trial, request, history)
                call.finish = _finish(trial.draft)
                booked = True
                await self._end(call, _outcome(trial.draft), error=trial.draft.error, turn=turn)
                call.response = trial.draft.response
                last = trial.draft.take()
                if COST_WANTED in (request.get("include") or ()):
                    last = _with_cost(call, last)
                call.events += len(last)
                yield last
                return
            assert failure is not None
            # Everything was tried here; a client that tries again would only multiply the attempts.
            failure.headers.setdefault("x-should-retry", "false")
            raise failure
        except TollbookError as error:
            if not booked:
                booked = True
                await self._end(call, "failed" if call.attempts else "rejected", error=error)
            raise
        except Exception as fault:
            _log.error("call %s failed inside", call.id, exc_info=fault)
            inside = TollbookError("The gateway failed inside; its log names the call.", code="internal_error")
            if not booked:
                booked = True
                await self._end(call, "failed", error=inside)
            raise inside from fault
        finally:
            if not booked:
                # The client is gone and this task may be cancelled again: book it in a task of its own.
                self._background(self._end(call, "client_disconnected"))

    async def _try(self, call: Call, trial: Trial) -> AsyncGenerator[list[Frame]]:
        """One attempt. Gives frames from the first output on and keeps back the batch that ends the response."""
        attempt, draft = trial.attempt, trial.draft
        headers = dict(trial.written.headers)
        for observer in self._observers:
            context = observer.attempt_begins(call, attempt)
            if trial.endpoint.propagate or trial.deployment.propagate_trace:
                headers |= context
        self.router.begins(trial.deployment)
        outcome: Outcome = "client_disconnected"
        failure: UpstreamError | None = None
        held: list[Frame] = []
        last = self._clock()
        try:
            async with aclosing(
                self._upstream.ask(
                    trial.endpoint,
                    trial.body,
                    draft,
                    trial.reader,
                    stream=call.stream,
                    headers={**headers, **trial.deployment.extra_headers},
                    timeouts=trial.deployment.timeouts,
                    attempt=attempt,
                )
            ) as batches:
                async for frames in batches:
                    now = self._clock()
                    call.longest_gap = max(call.longest_gap, now - last) if attempt.first_output else 0
                    last = now
                    if draft.has_output and attempt.first_output is None:
                        attempt.first_output = now
                        call.first_output = call.first_output or now
                    held += frames
                    if draft.has_output and not draft.done and held:
                        trial.given = True
                        call.events += len(held)
                        yield held
                        held = []
            outcome = _outcome(draft)
        except UpstreamError as error:
            outcome, failure = "failed", error
            raise
        finally:
            draft.frames[:0] = held
            self._close_attempt(call, trial, outcome, failure)

    def _close_attempt(self, call: Call, trial: Trial, outcome: Outcome, failure: UpstreamError | None) -> None:
        attempt, draft = trial.attempt, trial.draft
        attempt.ended = self._clock()
        attempt.outcome = outcome
        attempt.usage = draft.tokens
        attempt.served_model = draft.response.get("model")
        attempt.service_tier = draft.served_tier
        attempt.upstream_response_id = draft.upstream_id
        if failure is not None:
            attempt.error_kind, attempt.error_message = failure.kind, failure.message
            attempt.upstream_request_id = failure.request_id or attempt.upstream_request_id
            attempt.status_code = attempt.status_code or failure.upstream_status
            self.router.fails(trial.deployment, failure)
        elif outcome == "client_disconnected":
            self.router.given_up(trial.deployment)
        else:
            first = attempt.first_output
            self.router.succeeds(trial.deployment, (first - attempt.started) / 1e9 if first else None)
        attempt.cost = self._book.price(
            attempt.provider,
            attempt.model,
            attempt.usage,
            at=attempt.started,
            tier=attempt.service_tier,
            deployment=trial.deployment,
            served_model=attempt.served_model,
        )
        for observer in self._observers:
            observer.attempt_ends(call, attempt)

    # ------------------------------------------------------------------------------------------------------- recall

    async def _recall(self, call: Call, request: Request, caller: Caller) -> tuple[Request, History]:
        """The request with its references resolved, and the chain it follows."""
        key = caller.scope
        parent_id = request.get("previous_response_id")
        history = History()
        if parent_id:
            try:
                history.parent = parent = await self.store.turn(parent_id, key)
            except NotFound:
                raise NotFound(
                    f"Previous response with id '{parent_id}' not found.",
                    param="previous_response_id",
                    code="previous_response_not_found",
                ) from None
            call.session_id = parent.session_id
            call.parent_span = (parent.trace_id, parent.span_id)
        if any(item.get("type") == "item_reference" for item in requests.items(request)):
            request = await self._resolve(call, request, history, key)
        return request, history

    async def _chain(self, history: History, key: str | None) -> Sequence[Turn]:
        if history.chain is None:
            history.chain = await self.store.chain(history.parent.response_id, key) if history.parent else ()
        return history.chain

    async def _resolve(self, call: Call, request: Request, history: History, key: str | None) -> Request:
        """Items of earlier responses that the input only names, put in full. Raises NotFound for an unknown one.

        Ids that are not ours are left to the upstream that made them.
        """
        chain = await self._chain(history, key)
        known = {item.get("id"): item for turn in chain for item in (*turn.input, *turn.response.get("output", ()))}
        resolved: list[Item] = []
        for item in requests.items(request):
            if item.get("type") == "item_reference":
                identifier = str(item.get("id"))
                response_id = ids.response_of(identifier)
                if identifier not in known and response_id is not None:
                    origin = await self.store.turn(response_id, key)
                    call.parent_span = call.parent_span or (origin.trace_id, origin.span_id)
                    known |= {i.get("id"): i for i in origin.response.get("output", ())}
                if identifier in known:
                    item = known[identifier]  # noqa: PLW2901 - the same item, in full
                elif response_id is not None:
                    raise NotFound(f"Item with id '{identifier}' not found.", param="input", code="item_not_found")
            resolved.append(item)
        return {**request, "input": resolved}

    # -------------------------------------------------------------------------------------------------------- write

    async def _prepare(self, call: Call, choice: Choice, request: Request, history: History, caller: Caller) -> Trial:
        """Everything an attempt needs, in the deployment's own language. Raises Unsupported before anything is sent."""
        deployment = choice.deployment
        endpoint = self._endpoint(deployment)
        dialect = endpoint.dialect
        parent = history.parent
        asked: Request = {**deployment.defaults, **{k: v for k, v in request.items() if k not in _OURS[:3]}}
        if COST_WANTED in (asked.get("include") or ()):
            asked["include"] = [wanted for wanted in asked["include"] if wanted != COST_WANTED]
        continues = bool(parent and dialect.native and parent.native and parent.deployment == deployment.id)
        if not continues:
            asked.pop("previous_response_id", None)
            if parent:
                chain = await self._chain(history, caller.scope)
                asked["input"] = _replay(chain, native=dialect.native) + requests.items(request)
        drop = deployment.drop_params or self.config.general.drop_params
        if not dialect.native:
            beyond = [name for name in ("background", "conversation", "prompt") if asked.get(name)]
            unresolved = [
                f"input[{n}].type=item_reference"
                for n, item in enumerate(requests.items(asked))
                if item.get("type") == "item_reference"
            ]
            if (beyond or unresolved) and not drop:
                raise Unsupported([*beyond, *unresolved], f"{deployment.provider}/{deployment.model}")
            call.notes.extend(f"{name}: dropped" for name in beyond)
            for name in beyond:
                asked.pop(name)
        if dialect.inlines_urls:
            asked = await attachments.inline(
                asked, dialect.inlines_urls, allow_private=deployment.allow_private_addresses
            )
        written = dialect.write(asked, deployment.model, drop=drop)
        call.notes.extend(note for note in written.notes if note not in call.notes)
        host, port = place(endpoint.url)
        attempt = Attempt(
            number=len(call.attempts) + 1,
            deployment=deployment.id,
            provider=endpoint.provider,
            model=deployment.model,
            reason=choice.reason,
            started=self._clock(),
            host=host,
            port=port,
            backoff=choice.delay,
        )
        call.attempts.append(attempt)
        draft = Draft(
            request,
            response_id=self._make_id("resp"),
            model=deployment.model,
            created_at=attempt.started // 1_000_000_000,
            clock=lambda: self._clock() // 1_000_000_000,
            stream=call.stream,
        )
        body = {**written.body, **deployment.extra_body}
        return Trial(deployment, endpoint, written, body, draft, dialect.reader(draft, asked), attempt)

    def _endpoint(self, deployment: Deployment) -> Endpoint:
        known = (deployment.id, deployment.provider, deployment.model)
        endpoint = self._endpoints.get(known)
        if endpoint is None:
            endpoint = self._endpoints[known] = endpoint_of(deployment, self._environment)
        return endpoint

    # --------------------------------------------------------------------------------------------------------- book

    def _turn(self, call: Call, trial: Trial, request: Request, history: History) -> Turn | None:
        """What is remembered of this response, or None when the client asked that nothing be."""
        response = trial.draft.response
        call.response_id = response.get("id")
        parent = history.parent
        call.session_id = parent.session_id if parent else call.response_id
        if request.get("store") is False or not call.response_id:
            return None
        return Turn(
            response_id=call.response_id,
            previous_response_id=parent.response_id if parent else None,
            session_id=call.session_id or call.response_id,
            session_started=parent.session_started if parent else call.started,
            number=parent.number + 1 if parent else 1,
            key_id=call.key_id,
            call_id=call.id,
            trace_id=call.trace_id,
            span_id=call.span_id,
            model=call.model,
            deployment=trial.deployment.id,
            provider=trial.endpoint.provider,
            native=trial.endpoint.dialect.native,
            created=trial.attempt.started,
            status=str(response.get("status") or "completed"),
            request={k: v for k, v in request.items() if k not in _OURS},
            input=[_named(item, call.response_id, n) for n, item in enumerate(requests.items(request))],
            response=response,
        )

    async def _end(
        self, call: Call, outcome: Outcome, *, error: TollbookError | None = None, turn: Turn | None = None
    ) -> None:
        call.ended = self._clock()
        call.outcome = outcome
        call.error = error
        call.status = error.status if error is not None else 200
        try:
            await self.store.record(call, turn)
        finally:
            for observer in self._observers:
                observer.ends(call)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    # ------------------------------------------------------------------------------------------- what was made before

    async def get(self, call: Call, response_id: str, caller: Caller) -> Response:
        """A stored response. One that is still being made upstream (background) is asked for there and booked once."""

        async def fetch() -> Response:
            turn = await self._known(call, response_id, caller)
            if turn.native and turn.status in ("queued", "in_progress"):
                return await self._refresh(turn, "GET", "")
            return turn.response

        return await self._simple(call, fetch())

    async def delete(self, call: Call, response_id: str, caller: Caller) -> dict[str, Any]:
        """Remove a response here, and upstream where it is kept too. The money row stays."""

        async def remove() -> dict[str, Any]:
            turn = await self._known(call, response_id, caller)
            deployment = self.config.deployments.get(turn.deployment)
            await self.store.delete(response_id, caller.scope)
            if turn.native and deployment is not None:
                endpoint = self._endpoint(self._for_model(deployment, turn))
                if endpoint.stored_url:
                    try:
                        url = f"{endpoint.stored_url.partition('?')[0]}/{response_id}{_query(endpoint.stored_url)}"
                        await self._upstream.call(endpoint, "DELETE", url, timeouts=deployment.timeouts)
                    except UpstreamError as error:
                        # It is gone here and for every caller of ours; what remains there is said, not hidden.
                        if error.upstream_status != 404:
                            call.notes.append(f"upstream copy not deleted: {error.kind}")
            return {"id": response_id, "object": "response", "deleted": True}

        return await self._simple(call, remove())

    async def cancel(self, call: Call, response_id: str, caller: Caller) -> Response:
        """Stop a background response. One that is complete stays as it is; one that never ran in background is a 400."""

        async def stop() -> Response:
            turn = await self._known(call, response_id, caller)
            if not turn.response.get("background"):
                raise InvalidRequest(
                    "Only responses created with background=true can be cancelled.",
                    param="response_id",
                    code="response_not_cancellable",
                )
            if turn.native and turn.status in ("queued", "in_progress"):
                return await self._refresh(turn, "POST", "/cancel")
            return turn.response

        return await self._simple(call, stop())

    async def input_items(
        self,
        call: Call,
        response_id: str,
        caller: Caller,
        *,
        after: str | None,
        limit: int,
        order: Literal["asc", "desc"],
    ) -> dict[str, Any]:
        """A page of the input that a response saw: the whole chain before it and its own."""

        async def listing() -> dict[str, Any]:
            await self._known(call, response_id, caller)
            chain = await self.store.chain(response_id, caller.scope)
            items: list[Item] = []
            for turn in chain:
                items += turn.input
                if turn.response_id != response_id:
                    items += turn.response.get("output") or []
            if order == "desc":
                items.reverse()
            if after is not None:
                places = [n for n, item in enumerate(items) if item.get("id") == after]
                if not places:
                    raise NotFound(f"No item found with id '{after}'.", param="after")
                items = items[places[0] + 1 :]
            page = items[:limit]
            return {
                "object": "list",
                "data": page,
                "first_id": page[0].get("id") if page else None,
                "last_id": page[-1].get("id") if page else None,
                "has_more": len(items) > len(page),
            }

        return await self._simple(call, listing())

    async def input_tokens(self, call: Call, request: Request, caller: Caller) -> dict[str, Any]:
        """How many tokens the input has: counted by a native upstream, else estimated."""

        async def count() -> dict[str, Any]:
            _note(call, request)
            allow_model(caller, call.model)
            self.router.route(call.model)
            resolved, history = await self._recall(call, request, caller)
            chain = await self._chain(history, caller.scope)
            items = [*_replay(chain, native=False), *requests.items(resolved)]
            return {"object": "response.input_tokens", "input_tokens": await tokens.estimate(resolved, items)}

        return await self._simple(call, count())

    async def models(self, call: Call, caller: Caller) -> dict[str, Any]:
        """The public model names that this caller may use, in OpenAI's form."""

        async def listing() -> dict[str, Any]:
            data = [_model(name) for name in self.config.names if may_use(caller, name)]
            return {"object": "list", "data": data, "models": []}

        return await self._simple(call, listing())

    async def model(self, call: Call, name: str, caller: Caller) -> dict[str, Any]:
        """One public model name. Raises NotFound."""

        async def one() -> dict[str, Any]:
            if not may_use(caller, name):
                raise NotFound(f"The model '{name}' does not exist.", param="model", code="model_not_found")
            self.router.route(name)
            return _model(name)

        return await self._simple(call, one())

    def deployments(self) -> list[dict[str, Any]]:
        """Every deployment and how it is doing, for administrators."""
        return [self.router.report(deployment) for deployment in self.config.deployments.values()]

    async def calls(self, call: Call, caller: Caller, *, limit: int, before: str | None) -> dict[str, Any]:
        """A page of calls, newest first."""

        async def page() -> dict[str, Any]:
            found = await self.store.calls(key_id=caller.scope, limit=limit + 1, before=before)
            return {"object": "list", "data": found[:limit], "has_more": len(found) > limit}

        return await self._look(call, page())

    async def find_call(self, call: Call, call_id: str, caller: Caller) -> dict[str, Any]:
        """One call with its attempts and cost lines. Raises NotFound."""
        return await self._look(call, self.store.call(call_id, caller.scope))

    async def again(self, call: Call, response_id: str, caller: Caller, *, after: int) -> Answer:
        """A stored response as events again, those numbered beyond `after`."""
        response = await self.get(call, response_id, caller)

        async def frames() -> AsyncGenerator[list[Frame]]:
            for event in replay(response):
                if event["sequence_number"] > after:
                    yield [Frame(event["type"], event=event)]

        return Answer(call, frames())

    async def _known(self, call: Call, response_id: str, caller: Caller) -> Turn:
        turn = await self.store.turn(response_id, caller.scope)
        call.response_id, call.model, call.session_id = response_id, turn.model, turn.session_id
        call.parent_span = (turn.trace_id, turn.span_id)
        return turn

    async def _refresh(self, turn: Turn, method: str, suffix: str) -> Response:
        """What the upstream says now of a background response. The first terminal sight of it is booked, once."""
        deployment = self.config.deployments.get(turn.deployment)
        if deployment is None:
            raise Conflict(f"The deployment that runs response '{turn.response_id}' is not configured any more.")
        deployment = self._for_model(deployment, turn)
        endpoint = self._endpoint(deployment)
        url = f"{endpoint.stored_url.partition('?')[0]}/{turn.response_id}{suffix}{_query(endpoint.stored_url)}"
        response: Response = await self._upstream.call(endpoint, method, url, timeouts=deployment.timeouts)
        status = str(response.get("status") or "")
        if status and status not in ("queued", "in_progress"):
            await self._book_background(turn, deployment, endpoint, response)
        return response

    async def _book_background(
        self, turn: Turn, deployment: Deployment, endpoint: Endpoint, response: Response
    ) -> None:
        """The bill of a response that was made in background, under the id of the call that ordered it."""
        draft = Draft(turn.request, response_id=turn.response_id, stream=False)
        try:
            endpoint.dialect.reader(draft, turn.request).whole(response)
        except UpstreamError as error:
            draft.error = error
        call = Call(
            id=f"{turn.call_id}_done",
            operation="create",
            started=turn.created,
            model=turn.model,
            key_id=turn.key_id,
            response_id=turn.response_id,
            previous_response_id=turn.previous_response_id,
            session_id=turn.session_id,
            parent_span=(turn.trace_id, turn.span_id),
        )
        attempt = Attempt(
            number=1,
            deployment=deployment.id,
            provider=endpoint.provider,
            model=deployment.model,
            reason="initial",
            started=turn.created,
            ended=self._clock(),
            usage=draft.tokens,
            served_model=response.get("model"),
            service_tier=draft.served_tier,
            outcome=_outcome(draft),
        )
        attempt.cost = self._book.price(
            attempt.provider,
            attempt.model,
            attempt.usage,
            at=attempt.started,
            tier=attempt.service_tier,
            deployment=deployment,
            served_model=attempt.served_model,
        )
        call.attempts.append(attempt)
        call.ended, call.outcome = self._clock(), attempt.outcome
        done = {"status": str(response.get("status")), "response": response}
        await self.store.record(call, Turn(**{**{f: getattr(turn, f) for f in Turn.__slots__}, **done}))

    def _for_model(self, deployment: Deployment, turn: Turn) -> Deployment:
        """A wildcard's deployment with the model that this turn was made by."""
        route = self.config.route(turn.model)
        return next((d for d in route.deployments if d.id == deployment.id), deployment) if route else deployment

    async def _look(self, call: Call, work: Coroutine[Any, Any, T]) -> T:
        """Look into the books. It leaves no row of its own: reading the books does not fill them."""
        try:
            return await work
        finally:
            call.ended = self._clock()
            call.outcome = "completed"
            for observer in self._observers:
                observer.ends(call)

    async def _simple(self, call: Call, work: Coroutine[Any, Any, T]) -> T:
        """Do it and book it."""
        try:
            result = await work
        except TollbookError as error:
            await self._end(call, "rejected" if error.status < 500 else "failed", error=error)
            raise
        except asyncio.CancelledError:
            self._background(self._end(call, "client_disconnected"))
            raise
        await self._end(call, "completed")
        return result


@dataclass(slots=True)
class Trial:
    """One attempt with all it needs. `given` tells whether the client has seen any of it."""

    deployment: Deployment
    endpoint: Endpoint
    written: Written
    body: dict[str, Any]
    draft: Draft
    reader: Reader
    attempt: Attempt
    given: bool = False


def _note(call: Call, request: Request) -> None:
    """What the record keeps of the request's parameters."""
    call.model = str(request.get("model") or "")
    call.stream = bool(request.get("stream"))
    call.previous_response_id = request.get("previous_response_id")
    call.requested_tier = request.get("service_tier")
    call.reasoning_effort = (request.get("reasoning") or {}).get("effort")
    call.max_output_tokens = request.get("max_output_tokens")
    call.temperature, call.top_p = request.get("temperature"), request.get("top_p")
    kind = ((request.get("text") or {}).get("format") or {}).get("type")
    call.output_type = {"json_schema": "json", "json_object": "json"}.get(str(kind), "text")


def _with_cost(call: Call, frames: list[Frame]) -> list[Frame]:
    """The same frames, the last with `usage.cost` in USD."""
    total = call.cost.total
    usage = call.response.get("usage")
    if total is None or not isinstance(usage, dict):
        return frames
    usage["cost"] = total / 1e9
    return (
        [*frames[:-1], Frame(frames[-1].type, event={**frames[-1].event, "response": call.response})] if frames else []
    )


def _finish(draft: Draft) -> str | None:
    """Why the model stopped; calls that the client must answer are a reason of their own."""
    calls = ("function_call", "custom_tool_call")
    if draft.stopped == "stop" and any(i.get("type") in calls for i in draft.response.get("output") or ()):
        return "tool_calls"
    return draft.stopped


def _outcome(draft: Draft) -> Outcome:
    if draft.error is not None or draft.response.get("status") == "failed":
        return "failed"
    if draft.response.get("status") == "cancelled":
        return "cancelled"
    return "incomplete" if draft.response.get("status") == "incomplete" else "completed"


def _replay(chain: Sequence[Turn], *, native: bool) -> list[Item]:
    """A chain as input items, oldest first: each turn's input, then its output.

    A native upstream that does not keep these responses would look their ids up; without ids it reads the content.
    Reasoning that it did not seal itself says nothing to it.
    """
    items: list[Item] = []
    for turn in chain:
        items += turn.input
        items += turn.response.get("output") or []
    if not native:
        return items
    return [
        {k: v for k, v in item.items() if k not in ("id", "status")}
        for item in items
        if item.get("type") != "reasoning" or item.get("encrypted_content")
    ]


def _named(item: Item, response_id: str, number: int) -> Item:
    """An input item with an id, so that a listing of it can be paged."""
    named: Item = {"type": "message", **item}
    if not named.get("id"):
        named["id"] = f"item_{response_id.partition('_')[2]}i{number:03x}"
    return named


def _model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": name.partition("/")[0] if "/" in name else "tollbook",
    }


def _query(url: str) -> str:
    query = url.partition("?")[2]
    return f"?{query}" if query else ""
