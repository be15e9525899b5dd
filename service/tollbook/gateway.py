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
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import attachments, bounds, continuation, continuity, hedge, tokens, wishes
from .access.allowances import Allowances
from .access.keys import Caller, allow_model, may_use
from .books import Books
from .call import Attempt, Call, Outcome
from .config import Config, Deployment
from .drain import outlasting
from .errors import NotFound, TollbookError, Unsupported, UpstreamError
from .hedge import Race
from .history import History, named, recall
from .providers import Endpoint
from .providers.registry import endpoint_of
from .responses import request as requests
from .responses.draft import Draft
from .responses.types import Request, Response
from .routing.plan import Choice, Plan
from .routing.router import Router
from .storage import Maker, Turn
from .stored import Stored
from .transport.frame import Frame
from .trial import Trial, finish_of, outcome_of
from .upstream import CONNECT_TIMEOUT, Upstream, place

_OURS = (*wishes.FIELDS, "model", "input", "stream")
"""Fields of a request that are the gateway's own business or kept apart from the parameters."""


_TELL = 1_000_000_000
"""Nanoseconds between two notes of how much of an answer has come: what a kill may leave unheard."""

_log = logging.getLogger("tollbook")


COST_WANTED = "usage.cost"
"""In `include`: the response's usage gets a `cost` in USD. Only when asked for, because strict clients know no such field."""


@dataclass(slots=True)
class Answer:
    """A response on its way; `call.response` is it once the frames have ended."""

    call: Call
    frames: AsyncGenerator[list[Frame]]
    """The events in batches; the first batch holds the first output, the last one comes after the books are kept."""


class Gateway:
    """Creates, streams, gets, deletes and follows up. One object serves any number of callers at once.

    Call `close` after the last request: it waits for the bookings under way.
    """

    def __init__(
        self,
        config: Config,
        *,
        books: Books,
        environment: Mapping[str, str],
        upstream: Upstream | None = None,
        router: Router | None = None,
        makers: continuity.Table | None = None,
        allowances: Allowances | None = None,
    ) -> None:
        self.config = config
        self.books = books
        self.router = router or Router(config, price=books.typical_cost)
        self._allowances = allowances
        self._environment = environment
        self._upstream = upstream or Upstream()
        self._endpoints: dict[tuple[str, str, str], tuple[Deployment, Endpoint]] = {}
        self._makers = continuity.Makers(makers, lasting=_chooses(config))
        self.stored = Stored(config, books, self._upstream, self._endpoint)

    def reload(self, config: Config) -> None:
        """Serve by another configuration from the next call on; calls under way go on by the one they began with."""
        self.router = self.router.with_config(config)
        self.config = self.stored.config = config
        self._makers.lasting = _chooses(config)

    async def close(self) -> None:
        """Finish the bookings that are under way, then let go of connections and files."""
        await self.books.close()
        await self._upstream.aclose()

    async def create(self, call: Call, request: Request, caller: Caller) -> Response:
        """A whole response. Raises TollbookError; either way the call is booked before this returns."""
        async with aclosing(self._lasting(call, request, caller)) as frames:
            async for _ in frames:
                pass
        return call.response

    def stream(self, call: Call, request: Request, caller: Caller) -> Answer:
        """A response in events (`request["stream"]`), or in none. Iterating `frames` does the work.

        A failure before the first output raises TollbookError; one after it is told by the last two events. Closing
        `frames` early closes the upstream connection at once (unless `on_disconnect` says to read on) and books the call as
        cancelled by the client.
        """
        return Answer(call, self._lasting(call, request, caller))

    def _lasting(self, call: Call, request: Request, caller: Caller) -> AsyncGenerator[list[Frame]]:
        """The answer, which may go on when its client has left."""
        frames = self._answer(call, request, caller)
        if not any(deployment.on_disconnect == "drain" for deployment in self.config.deployments.values()):
            return frames

        def wanted() -> bool:
            attempt = call.attempt
            deployment = self.config.deployments.get(attempt.deployment) if attempt else None
            call.client_gone = deployment is not None and deployment.on_disconnect == "drain" and call.ended is None
            return call.client_gone

        return outlasting(frames, wanted, self.books.drain)

    async def _answer(self, call: Call, request: Request, caller: Caller) -> AsyncGenerator[list[Frame]]:
        booked = False
        try:
            _note(call, request)
            allow_model(caller, call.model)
            route = self.router.route(call.model)
            call.policy = route.strategy
            request, history = await recall(self.books.store, call, request, caller.scope)
            await self._makers.recall(request)
            history.maker = history.maker or self._makers.owner(request)
            plan = self.router.plan(call.model, wishes.read(request, caller, self.router, owner=history.maker))
            await bounds.admit(self._allowances, self.books, route, call, caller, request, history)
            told = continuation.told(request, self.router.config.router)
            rival = partial(self._rival, call, plan, request, history, told) if hedge.allowed(request) else None
            seen = False
            failure: UpstreamError | None = None
            while (choice := plan.next(failure)) is not None:
                with choice:
                    if choice.delay:
                        await asyncio.sleep(choice.delay)
                    try:
                        trial = await self._prepare(call, choice, request, history, told)
                    except TollbookError:
                        if failure is None:
                            raise
                        continue  # who cannot do it at all is no help; what failed before is what is told
                    failure = None
                    race = Race(trial, partial(self._try, call), rival)
                    try:
                        async with aclosing(race.batches()) as batches:
                            async for frames in batches:
                                yield told.hear(frames) if told else frames
                    except UpstreamError as error:
                        failure = error
                trial = race.trial
                seen = seen or trial.given
                if failure is None:
                    break
                if seen:
                    if told is None or not told.goes_on(failure):
                        break
                    yield told.break_off(trial.draft.take())
            if failure is not None:
                if not seen:
                    # Everything was tried here; a client that tries again would only multiply the attempts.
                    failure.headers.setdefault("x-should-retry", "false")
                    raise failure
                if told is not None:
                    told.fail(trial.draft, failure)
                else:
                    trial.draft.fail(failure)
            last = told.end(trial.draft) if told else trial.draft.take()
            turn = self._turn(call, trial, request, history)
            call.finish = finish_of(trial.draft)
            call.events += len(last)
            call.response = trial.draft.response
            booked = True
            try:
                await self.books.end(call, outcome_of(trial.draft), error=trial.draft.error, turn=turn)
            except TollbookError as unkept:
                if not (seen and last):
                    raise
                yield _unkept(last, unkept)
                return
            if COST_WANTED in (request.get("include") or ()):
                last = _with_cost(call, last)
            yield last
        except TollbookError as error:
            if not booked:
                booked = True
                await self.books.end(call, "failed" if call.attempts else "rejected", error=error)
            raise
        except Exception as fault:
            _log.error("call %s failed inside", call.id, exc_info=fault)
            inside = TollbookError("The gateway failed inside; its log names the call.", code="internal_error")
            if not booked:
                booked = True
                await self.books.end(call, "failed", error=inside)
            raise inside from fault
        finally:
            if not booked:
                # The client is gone and this task may be cancelled again: book it in a task of its own.
                self.books.later(self.books.end(call, "client_disconnected"))

    async def _try(self, call: Call, trial: Trial) -> AsyncGenerator[list[Frame]]:
        """One attempt. Gives frames from the first output on and keeps back the batch that ends the response."""
        attempt, draft = trial.attempt, trial.draft
        headers = dict(trial.written.headers)
        context = self.books.attempt_begins(call, attempt, trial.input_tokens)
        if trial.endpoint.propagate or trial.deployment.propagate_trace:
            headers |= context
        outcome: Outcome = "client_disconnected"
        failure: UpstreamError | None = None
        held: list[Frame] = []
        last, told = self.books.clock(), 0
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
                    now = self.books.clock()
                    if attempt.first_event is None:
                        attempt.first_event = now
                    elif attempt.first_output and now - last > call.longest_gap:
                        call.longest_gap, call.longest_gap_at = now - last, now
                    last = now
                    if draft.has_output and attempt.first_output is None:
                        attempt.first_output = now
                        call.first_output = call.first_output or now
                    if draft.has_output and now - told >= _TELL and not draft.done:
                        told = now
                        self.books.store.heard(call, attempt, draft.tokens_heard)
                    held += frames
                    if draft.has_output and not draft.done and held:
                        trial.given = True
                        call.events += len(held)
                        yield held
                        held = []
            outcome = outcome_of(draft)
        except UpstreamError as error:
            outcome, failure = "failed", error
            raise
        finally:
            draft.frames[:0] = held
            self._close_attempt(call, trial, outcome, failure)

    def _close_attempt(self, call: Call, trial: Trial, outcome: Outcome, failure: UpstreamError | None) -> None:
        attempt, draft = trial.attempt, trial.draft
        attempt.outcome = "cancelled" if attempt.abandoned else outcome
        late = failure is not None and failure.kind == "timeout" and failure.code != CONNECT_TIMEOUT
        attempt.usage = trial.usage(given_up=attempt.abandoned or late or outcome == "client_disconnected")
        attempt.served_model = draft.served_model
        call.notes.extend(note for note in draft.notes if note not in call.notes)
        attempt.service_tier = draft.served_tier
        if units := self.books.units(attempt, trial.deployment):
            attempt.usage = trial.counted(units, self.books.clock())
        attempt.upstream_response_id = draft.upstream_id
        if failure is not None:
            attempt.error_kind, attempt.error_message = failure.kind, failure.message
            attempt.upstream_request_id = failure.request_id or attempt.upstream_request_id
            attempt.status_code = attempt.status_code or failure.upstream_status
            trial.choice.fails(failure, attempt.usage.total_tokens)
        elif outcome == "client_disconnected":
            trial.choice.close(attempt.usage.total_tokens)
        else:
            first = attempt.first_output
            seconds = (first - attempt.started) / 1e9 if first else None
            trial.choice.succeeds(seconds, attempt.usage.total_tokens)
            if trial.endpoint.dialect.native:
                self._makers.learn(draft.response, Maker(trial.deployment.id, call.model))
        self.books.attempt_ends(call, attempt, trial.deployment)

    # -------------------------------------------------------------------------------------------------------- write

    async def _rival(
        self, call: Call, plan: Plan, request: Request, history: History, told: continuation.Told | None
    ) -> Trial | None:
        """A second attempt beside a slow one; None when there is nobody else, or who is cannot do it."""
        choice = plan.hedge()
        if choice is None:
            return None
        try:
            return await self._prepare(call, choice, request, history, told)
        except BaseException as failure:
            choice.close()
            if isinstance(failure, TollbookError):
                return None
            raise

    async def _prepare(
        self, call: Call, choice: Choice, request: Request, history: History, told: continuation.Told | None
    ) -> Trial:
        """Everything an attempt needs, in the deployment's own language. Raises Unsupported before anything is sent."""
        deployment = choice.deployment
        further = told if told is not None and told.broken else None
        if further is not None:
            request = further.request(request)
        endpoint = self._endpoint(deployment)
        dialect = endpoint.dialect
        parent = history.parent
        asked: Request = {**deployment.defaults, **{k: v for k, v in request.items() if k not in wishes.FIELDS}}
        if COST_WANTED in (asked.get("include") or ()):
            asked["include"] = [wanted for wanted in asked["include"] if wanted != COST_WANTED]
        if not continuity.continues(parent, native=dialect.native, deployment=deployment.id):
            asked.pop("previous_response_id", None)
            if parent:
                continuity.check_replay(parent)
                before = await history.items(deployment.id if dialect.native else None)
                asked["input"] = before + requests.items(request)
        asked = self._makers.legible(asked, deployment.id)
        continuity.mark(call, history.maker, deployment.id)
        drop = deployment.drop_params
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
                asked,
                dialect.inlines_urls,
                keeps=getattr(dialect, "keeps_url", None),
                allow_private=deployment.allow_private_addresses,
            )
        written = dialect.write(asked, deployment.model, drop=drop)
        call.notes.extend(note for note in written.notes if note not in call.notes)
        host, port = place(endpoint.url)
        attempt = Attempt(
            number=len(call.attempts) + 1,
            deployment=deployment.id,
            provider=endpoint.provider,
            model=deployment.model,
            reason="continuation" if further else choice.reason,
            started=self.books.clock(),
            host=host,
            port=port,
            backoff=choice.delay,
        )
        call.attempts.append(attempt)
        draft = Draft(
            request,
            response_id=(further and further.response_id) or self.books.make_id("resp"),
            items_before=further.items if further else 0,
            model=deployment.model,
            created_at=attempt.started // 1_000_000_000,
            clock=lambda: self.books.clock() // 1_000_000_000,
            stream=call.stream,
        )
        body = {**written.body, **deployment.extra_body}
        return Trial(choice, endpoint, asked, written, body, draft, dialect.reader(draft, asked), attempt)

    def _endpoint(self, deployment: Deployment) -> Endpoint:
        known = (deployment.id, deployment.provider, deployment.model)
        held = self._endpoints.get(known)
        if held is None or held[0] is not deployment:
            held = self._endpoints[known] = (deployment, endpoint_of(deployment, self._environment))
        return held[1]

    # --------------------------------------------------------------------------------------------------------- book

    def _turn(self, call: Call, trial: Trial, request: Request, history: History) -> Turn | None:
        """What is remembered of this response, or None when the client asked that nothing be."""
        response = trial.draft.response
        call.response_id = response.get("id")
        parent = history.parent
        call.session_id = parent.session_id if parent else call.response_id
        call.turn = parent.number + 1 if parent else 1
        if request.get("store") is False or not call.response_id:
            return None
        return Turn(
            response_id=call.response_id,
            previous_response_id=parent.response_id if parent else None,
            session_id=call.session_id or call.response_id,
            session_started=parent.session_started if parent else call.started,
            number=call.turn,
            key_id=call.key_id,
            call_id=call.id,
            trace_id=call.trace_id,
            span_id=call.span_id,
            model=call.model,
            deployment=trial.deployment.id,
            provider=trial.endpoint.provider,
            native=trial.endpoint.dialect.native and trial.attempt.reason != "continuation",
            created=trial.attempt.started,
            status=str(response.get("status") or "completed"),
            request={k: v for k, v in request.items() if k not in _OURS},
            input=named(requests.items(request), call.response_id),
            response=response,
        )

    # -------------------------------------------------------------------------------------------------- beside the story

    async def input_tokens(self, call: Call, request: Request, caller: Caller) -> dict[str, Any]:
        """How many input tokens a request would have, its chain included: an estimate that asks no provider."""

        async def count() -> dict[str, Any]:
            _note(call, request)
            allow_model(caller, call.model)
            self.router.route(call.model)
            resolved, history = await recall(self.books.store, call, request, caller.scope)
            items = [*await history.items(), *requests.items(resolved)]
            return {"object": "response.input_tokens", "input_tokens": await tokens.estimate(resolved, items)}

        return await self.books.keep(call, count())

    def models(self, caller: Caller) -> dict[str, Any]:
        """The public model names that this caller may use, in OpenAI's form. `models` beside `data` is what Codex reads."""
        data = [_model(name) for name in self.config.names if may_use(caller, name)]
        return {"object": "list", "data": data, "models": []}

    def model(self, name: str, caller: Caller) -> dict[str, Any]:
        """One public model name. Raises NotFound."""
        if not may_use(caller, name):
            raise NotFound(f"The model '{name}' does not exist.", param="model", code="model_not_found")
        self.router.route(name)
        return _model(name)

    async def calls(self, caller: Caller, *, limit: int, before: str | None) -> dict[str, Any]:
        """A page of calls, newest first."""
        found = await self.books.store.calls(key_id=caller.scope, limit=limit + 1, before=before)
        return {"object": "list", "data": found[:limit], "has_more": len(found) > limit}

    async def find_call(self, call_id: str, caller: Caller) -> dict[str, Any]:
        """One call with its attempts and cost lines. Raises NotFound."""
        return await self.books.store.call(call_id, caller.scope)

    def deployments(self) -> list[dict[str, Any]]:
        """Every deployment and how it is doing, for administrators."""
        return [self.router.report(deployment) for deployment in self.config.deployments.values()]


def _chooses(config: Config) -> bool:
    """Whether some model has more than one place it may go to."""
    return any(len(route.deployments) > 1 for route in config.routes.values())


def _note(call: Call, request: Request) -> None:
    """What the record keeps of the request's parameters."""
    call.request = request
    call.model = str(request.get("model") or "")
    call.stream = bool(request.get("stream"))
    call.previous_response_id = request.get("previous_response_id")
    call.requested_tier = request.get("service_tier")
    call.reasoning_effort = (request.get("reasoning") or {}).get("effort")
    call.max_output_tokens = request.get("max_output_tokens")
    call.temperature, call.top_p = request.get("temperature"), request.get("top_p")
    prompt, conversation = request.get("prompt") or {}, request.get("conversation")
    call.prompt = (str(prompt["id"]), prompt.get("version")) if prompt.get("id") else None
    call.conversation_id = conversation.get("id") if isinstance(conversation, dict) else conversation
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


def _unkept(last: list[Frame], error: TollbookError) -> list[Frame]:
    """The same frames with a failed end: what is not in the books is not told to be complete."""
    *before, end = last
    if before and before[-1].type == "error":
        return last
    number, response = end.event["sequence_number"], end.event["response"]
    told = {"code": error.code or error.type, "message": error.message}
    failed = {**response, "status": "failed", "completed_at": None, "error": told}
    return [
        *before,
        Frame("error", event={"type": "error", "sequence_number": number, "error": error.to_wire()}),
        Frame("response.failed", event={"type": "response.failed", "sequence_number": number + 1, "response": failed}),
    ]


def _model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": name.partition("/")[0] if "/" in name else "tollbook",
    }
