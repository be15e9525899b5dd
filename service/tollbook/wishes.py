"""What a client may say of its request's routing: `fallbacks`, `disable_fallbacks`, `num_retries` in the body."""

from __future__ import annotations

from typing import Any

from .access.keys import Caller, allow_model
from .errors import InvalidRequest
from .responses.types import Request
from .routing.plan import Wishes
from .routing.router import Router
from .storage import Maker

MOST_RETRIES = 10
"""A client may ask for at most so many."""

FIELDS = ("disable_fallbacks", "fallbacks", "num_retries")


def read(request: Request, caller: Caller, router: Router, *, owner: Maker | None = None) -> Wishes:
    """The wishes of a request. `fallbacks` is a list of model names, or of `{"model": name}` as LiteLLM has it.

    Raises InvalidRequest for what is no such thing and for a model that does not exist, and what `allow_model` raises for
    one that the caller may not use.
    """
    retries = request.get("num_retries")
    if retries is not None and (not isinstance(retries, int) or isinstance(retries, bool)):
        raise _wrong("num_retries", "an integer")
    if retries is not None and not 0 <= retries <= MOST_RETRIES:
        raise InvalidRequest(
            f"Invalid value for 'num_retries': expected an integer from 0 to {MOST_RETRIES}.",
            param="num_retries",
            code="invalid_value",
        )
    disable = request.get("disable_fallbacks")
    if disable is not None and not isinstance(disable, bool):
        raise _wrong("disable_fallbacks", "a boolean")
    listed = request.get("fallbacks")
    if listed is not None and not isinstance(listed, list):
        raise _wrong("fallbacks", "a list of model names")
    fallbacks = None if listed is None else tuple(_name(index, value) for index, value in enumerate(listed))
    for index, name in enumerate(fallbacks or ()):
        allow_model(caller, name)
        if router.find(name) is None:
            raise InvalidRequest(
                f"The model '{name}' does not exist.", param=f"fallbacks[{index}]", code="model_not_found"
            )
    return Wishes(
        owner=owner.deployment if owner else None,
        owner_fell_back=owner is not None and owner.model == request.get("model"),
        stream=bool(request.get("stream")),
        num_retries=retries,
        fallbacks=fallbacks,
        disable_fallbacks=bool(disable),
    )


def _name(index: int, value: Any) -> str:
    name = value.get("model") if isinstance(value, dict) else value
    if not isinstance(name, str) or not name:
        raise _wrong(f"fallbacks[{index}]", "a model name")
    return name


def _wrong(param: str, wanted: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")
