"""What was made before: get, delete, cancel, list its input, tell it again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal

from .access.keys import Caller
from .books import Books
from .call import BACKGROUND, Attempt, Call, Outcome
from .config import Config, Deployment
from .errors import Conflict, InvalidRequest, NotFound, UpstreamError
from .providers import Endpoint
from .responses.draft import Draft
from .responses.replay import replay
from .responses.types import Item, Response
from .storage import Turn
from .transport.frame import Frame
from .upstream import Upstream

_RUNNING = ("queued", "in_progress")


class Stored:
    """The verbs for responses that exist. Each books its call; a foreign, deleted or unknown id is NotFound alike."""

    def __init__(
        self, config: Config, books: Books, upstream: Upstream, endpoint: Callable[[Deployment], Endpoint]
    ) -> None:
        self.config = config
        """As of now; a reload sets another."""
        self._books = books
        self._upstream = upstream
        self._endpoint = endpoint

    async def get(self, call: Call, response_id: str, caller: Caller) -> Response:
        """A stored response. One that is still being made upstream (background) is asked for there and booked once."""

        async def fetch() -> Response:
            turn = await self._turn(call, response_id, caller)
            running = turn.native and turn.status in _RUNNING
            call.response = await self._refresh(turn, "GET", "") if running else turn.response
            return call.response

        return await self._books.keep(call, fetch())

    async def again(self, call: Call, response_id: str, caller: Caller, *, after: int) -> AsyncGenerator[list[Frame]]:
        """The events of a stored response again, those numbered beyond `after`."""
        response = await self.get(call, response_id, caller)

        async def frames() -> AsyncGenerator[list[Frame]]:
            for event in replay(response):
                if event["sequence_number"] > after:
                    yield [Frame(event["type"], event=event)]

        return frames()

    async def delete(self, call: Call, response_id: str, caller: Caller) -> dict[str, Any]:
        """Remove a response here, and upstream where it is kept too. The money row stays."""

        async def remove() -> dict[str, Any]:
            turn = await self._turn(call, response_id, caller)
            await self._books.store.delete(response_id, caller.scope)
            deployment = self._deployment(turn)
            if turn.native and deployment is not None:
                endpoint = self._endpoint(deployment)
                try:
                    await self._upstream.call(endpoint, "DELETE", _url(endpoint, turn), timeouts=deployment.timeouts)
                except UpstreamError as error:
                    # It is gone here and for every caller of ours; what remains there is said, not hidden.
                    if error.upstream_status != 404:
                        call.notes.append(f"upstream copy not deleted: {error.kind}")
            return {"id": response_id, "object": "response", "deleted": True}

        return await self._books.keep(call, remove())

    async def cancel(self, call: Call, response_id: str, caller: Caller) -> Response:
        """Stop a background response; one that is complete stays as it is. Raises InvalidRequest for any other."""

        async def stop() -> Response:
            turn = await self._turn(call, response_id, caller)
            if not turn.response.get("background"):
                raise InvalidRequest(
                    "Only responses created with background=true can be cancelled.",
                    param="response_id",
                    code="response_not_cancellable",
                )
            if turn.native and turn.status in _RUNNING:
                return await self._refresh(turn, "POST", "/cancel")
            return turn.response

        return await self._books.keep(call, stop())

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
            await self._turn(call, response_id, caller)
            items: list[Item] = []
            for turn in await self._books.store.chain(response_id, caller.scope):
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

        return await self._books.keep(call, listing())

    async def _turn(self, call: Call, response_id: str, caller: Caller) -> Turn:
        turn = await self._books.store.turn(response_id, caller.scope)
        call.response_id, call.model, call.session_id = response_id, turn.model, turn.session_id
        call.parent_span, call.provider = (turn.trace_id, turn.span_id), turn.provider
        return turn

    def _deployment(self, turn: Turn) -> Deployment | None:
        """The deployment that made it, with the model of this turn where it serves many."""
        route = self.config.route(turn.model)
        here = next((d for d in route.deployments if d.id == turn.deployment), None) if route else None
        if here is not None:
            return here
        kept = self.config.deployments.get(turn.deployment)
        return kept if kept is not None and "*" not in kept.provider + kept.model else None

    async def _refresh(self, turn: Turn, method: str, suffix: str) -> Response:
        """What the upstream says now of a background response. The first terminal sight of it is booked, once."""
        deployment = self._deployment(turn)
        if deployment is None:
            raise Conflict(f"The deployment that runs response '{turn.response_id}' is not configured any more.")
        endpoint = self._endpoint(deployment)
        url = _url(endpoint, turn, suffix)
        response: Response = await self._upstream.call(endpoint, method, url, timeouts=deployment.timeouts)
        if str(response.get("status") or "in_progress") not in _RUNNING:
            await self._book(turn, deployment, endpoint, response)
        return response

    async def _book(self, turn: Turn, deployment: Deployment, endpoint: Endpoint, response: Response) -> None:
        """The bill of a response that was made in background. Its call id follows from the one that ordered it, so that
        however often it is polled there is one row."""
        draft = Draft(turn.request, response_id=turn.response_id, model=deployment.model, stream=False)
        failure: UpstreamError | None = None
        try:
            endpoint.dialect.reader(draft, turn.request).whole(response)
        except UpstreamError as error:
            failure = error
        call = Call(
            id=turn.call_id + BACKGROUND,
            operation="create",
            started=turn.created,
            model=turn.model,
            key_id=turn.key_id,
            response_id=turn.response_id,
            previous_response_id=turn.previous_response_id,
            session_id=turn.session_id,
            trace_id=turn.trace_id,
            span_id=turn.span_id,
        )
        attempt = Attempt(
            number=1,
            deployment=deployment.id,
            provider=endpoint.provider,
            model=deployment.model,
            reason="initial",
            started=turn.created,
            usage=draft.tokens,
            served_model=draft.served_model,
            service_tier=draft.served_tier,
        )
        status = str(response.get("status"))
        outcome = attempt.outcome = _OUTCOMES.get(status, "failed")
        if failure is not None:
            attempt.error_kind, attempt.error_message = failure.kind, failure.message
        call.attempts.append(attempt)
        self._books.attempt_ends(call, attempt, deployment)
        fields = {name: getattr(turn, name) for name in Turn.__slots__}
        finished = Turn(**{**fields, "status": status, "response": response})
        await self._books.end(call, outcome, error=failure, turn=finished)


_OUTCOMES: dict[str, Outcome] = {
    "completed": "completed",
    "incomplete": "incomplete",
    "cancelled": "cancelled",
}


def _url(endpoint: Endpoint, turn: Turn, suffix: str = "") -> str:
    """Where the upstream keeps this response; Azure's URLs carry a query."""
    path, _, query = endpoint.stored_url.partition("?")
    return f"{path}/{turn.response_id}{suffix}" + (f"?{query}" if query else "")
