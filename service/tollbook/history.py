"""What came before a request: its parent, the chain that led there, and items it only names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .call import Call
from .errors import NotFound
from .responses import ids
from .responses import request as requests
from .responses.types import Item, Request
from .storage import Maker, Store, Turn


@dataclass(slots=True)
class History:
    """The turn that a request follows; the whole chain is read when somebody needs it. `key_id` None sees everybody's."""

    store: Store
    key_id: str | None
    parent: Turn | None = None
    maker: Maker | None = None
    """Who made what the request follows or refers to."""
    _chain: Sequence[Turn] | None = None

    async def chain(self) -> Sequence[Turn]:
        """All turns up to the parent, oldest first. Raises NotFound when one of them is gone."""
        if self._chain is None:
            self._chain = await self.store.chain(self.parent.response_id, self.key_id) if self.parent else ()
        return self._chain

    async def items(self, native: str | None = None) -> list[Item]:
        """The chain as input: each turn's input, then its output.

        `native` names the deployment when it speaks Responses itself but does not keep these responses: it would look ids
        up that it never gave, so they go without; and reasoning that another account sealed would be an error there.
        """
        items: list[Item] = []
        for turn in await self.chain():
            output = turn.response.get("output") or []
            if native is None:
                items += [*turn.input, *output]
                continue
            for item in (*turn.input, *output):
                own = turn.native and turn.deployment == native and item.get("encrypted_content")
                if item.get("type") != "reasoning" or own:
                    items.append({k: v for k, v in item.items() if k not in ("id", "status")})
        return items


async def recall(store: Store, call: Call, request: Request, key_id: str | None) -> tuple[Request, History]:
    """The request with its references resolved, and what it follows.

    Raises NotFound for an unknown parent or item: never is a conversation forgotten in silence.
    """
    history = History(store, key_id)
    parent_id = request.get("previous_response_id")
    if parent_id:
        try:
            history.parent = parent = await store.turn(parent_id, key_id)
        except NotFound:
            raise NotFound(
                f"Previous response with id '{parent_id}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            ) from None
        call.session_id, history.maker = parent.session_id, Maker(parent.deployment, parent.model)
        call.parent_span = (parent.trace_id, parent.span_id)
    if any(item.get("type") == "item_reference" for item in requests.items(request)):
        request = await _resolve(call, request, history)
    return request, history


async def _resolve(call: Call, request: Request, history: History) -> Request:
    """Items of earlier responses that the input only names, put in full. Ids that are not ours are left to the upstream
    that made them."""
    known = {
        item.get("id"): item
        for turn in await history.chain()
        for item in (*turn.input, *turn.response.get("output", ()))
    }
    resolved: list[Item] = []
    for item in requests.items(request):
        if item.get("type") != "item_reference":
            resolved.append(item)
            continue
        identifier = str(item.get("id"))
        response_id = ids.response_of(identifier)
        if identifier not in known and response_id is not None:
            origin = await history.store.turn(response_id, history.key_id)
            call.parent_span = call.parent_span or (origin.trace_id, origin.span_id)
            history.maker = history.maker or Maker(origin.deployment, origin.model)
            known |= {i.get("id"): i for i in origin.response.get("output", ())}
        if identifier not in known and response_id is not None:
            raise NotFound(f"Item with id '{identifier}' not found.", param="input", code="item_not_found")
        resolved.append(known.get(identifier, item))
    return {**request, "input": resolved}


def named(items: Sequence[Item], response_id: str) -> list[Item]:
    """Input items, each with an id, so that a listing of them can be paged."""
    stem = response_id.partition("_")[2]
    return [
        {"type": "message", **item}
        if item.get("id")
        else {"type": "message", **item, "id": f"item_{stem}i{number:03x}"}
        for number, item in enumerate(items)
    ]
