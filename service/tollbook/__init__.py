"""The gateway that keeps the books, in your own process.

    import tollbook

    response = tollbook.responses(model="anthropic/claude-haiku-4-5", input="Tell me a story.")
    print(response.output_text, response.cost_usd)

docs/sdk.md has the rest. Importing this loads no client, no database and no tracing.
"""

from __future__ import annotations

# A package of ours has the name of a function of ours. It is loaded here, first: loading it later would put it in the
# function's place.
from . import responses as _wire  # noqa: F401
from .client import Router
from .errors import (
    ConfigError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    TollbookError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unsupported,
    UpstreamError,
)
from .functions import (
    acancel_responses,
    adelete_responses,
    aget_responses,
    alist_input_items,
    aresponses,
    cancel_responses,
    delete_responses,
    get_responses,
    list_input_items,
    responses,
)
from .objects import (
    CustomToolCall,
    Deleted,
    DeltaEvent,
    ErrorEvent,
    Event,
    FunctionCall,
    Item,
    ItemEvent,
    ItemList,
    Message,
    Object,
    ParsedResponse,
    Part,
    PartEvent,
    Reasoning,
    Response,
    ResponseEvent,
    Usage,
)
from .streams import AsyncStream, Stream

__all__ = [
    "AsyncStream",
    "ConfigError",
    "Conflict",
    "CustomToolCall",
    "Deleted",
    "DeltaEvent",
    "ErrorEvent",
    "Event",
    "Forbidden",
    "FunctionCall",
    "InvalidRequest",
    "Item",
    "ItemEvent",
    "ItemList",
    "Message",
    "NotFound",
    "Object",
    "ParsedResponse",
    "Part",
    "PartEvent",
    "RateLimited",
    "Reasoning",
    "Response",
    "ResponseEvent",
    "Router",
    "Stream",
    "TollbookError",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "UpstreamError",
    "Usage",
    "acancel_responses",
    "adelete_responses",
    "aget_responses",
    "alist_input_items",
    "aresponses",
    "cancel_responses",
    "delete_responses",
    "get_responses",
    "list_input_items",
    "responses",
]
