"""What a call may cost at the most, and whether it may be made at all: the question before any provider is asked."""

from __future__ import annotations

from . import tokens
from .access.admission import Bound
from .access.allowances import Allowances
from .access.caller import Caller
from .access.rules import NO_TERMS
from .books import Books
from .call import Call
from .config import Deployment, Route
from .errors import Forbidden
from .history import History
from .responses import request as requests
from .responses.types import Request
from .responses.usage import Usage


async def admit(
    allowances: Allowances | None,
    books: Books,
    route: Route,
    call: Call,
    caller: Caller,
    request: Request,
    history: History,
) -> None:
    """Let a call in, or say why not.

    Raises Forbidden (code model_unpriced) where the caller's key refuses models without a price, and what `Allowances.admit`
    raises.
    """
    if caller.unpriced != "allow" and not books.priced(route.deployments):
        if caller.unpriced == "block":
            raise Forbidden(
                f"The price of the model {call.model!r} is not known, and this API key refuses such models.",
                code="model_unpriced",
                param="model",
            )
        call.notes.append("price: not known")
    if allowances is None:
        return
    terms = allowances.terms(call, route.name)
    if terms != NO_TERMS:
        needs = bound(books, route, request, history, allowances.output_tokens)
        await allowances.admit(call, terms, needs, background=bool(request.get("background")))


def bound(books: Books, route: Route, request: Request, history: History, output_tokens: int) -> Bound:
    """The bound of a call: its input as it is estimated, and as much output as it allows (`output_tokens` where it does not
    say), at the price of the dearest place it may go to. Where no price is known it is nothing.

    Tokens are counted as OpenAI does for its limits: the larger of the input and `max_output_tokens`
    (https://platform.openai.com/docs/guides/rate-limits).
    """
    read = tokens.roughly(request, requests.items(request)) + _before(history)
    limit = request.get("max_output_tokens")
    written = max(limit or 0, 0) if limit is not None else _most(route.deployments, output_tokens)
    tier = request.get("service_tier")
    usage = Usage(input=read, output=written)
    cost = books.dearest(route.deployments, usage, tier if isinstance(tier, str) else None)
    return Bound(cost or 0, max(read, limit or 0))


def _before(history: History) -> int:
    """Tokens of the conversation before the request: those of its last turn, which held all the others."""
    if history.parent is None:
        return 0
    usage = history.parent.response.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) and total > 0 else 0


def _most(deployments: tuple[Deployment, ...], output_tokens: int) -> int:
    """Output tokens where the client says nothing: what a deployment presets, else the default."""
    preset = [deployment.defaults.get("max_output_tokens") for deployment in deployments]
    return max((number if isinstance(number, int) else output_tokens for number in preset), default=output_tokens)
