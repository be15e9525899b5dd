"""Everything that can go wrong, as one tree.

    TollbookError                 anything a caller of Tollbook may catch
    ├── ConfigError               a configuration that cannot be used; names file, line and path
    ├── InvalidRequest      400   the client's fault; `param` names the place
    │   ├── Unsupported     400   content the chosen target cannot represent; names every parameter at once
    │   └── TooLarge        413   a body over the limit
    ├── Unauthenticated     401   no key, or a wrong one
    ├── Forbidden           403   a right key without the right
    ├── NotFound            404   absent, deleted and foreign are told alike
    ├── Conflict            409   not possible in the present state
    ├── RateLimited         429   a limit of ours was reached
    │   └── BudgetExceeded  429   there is no money left; `budget` says which, and how it stands
    ├── Unavailable         503   nothing that could serve this call is up
    └── UpstreamError             a provider failed; `kind` says how, set once by its dialect

The wire form is OpenAI's: `{"error": {"message", "type", "param", "code"}}`
(https://platform.openai.com/docs/guides/error-codes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

Kind = Literal[
    "rate_limit",  # asked too often or too much; the provider would take it later
    "overloaded",  # the provider has no capacity now
    "timeout",  # no answer, or none in time
    "connection",  # no connection, or one that broke before anything was said
    "auth",  # the provider refuses our credentials
    "bad_request",  # the provider refuses the request itself
    "context_length",  # the input does not fit the model
    "content_filter",  # the provider's policy refuses the content
    "not_found",  # no such model, deployment or stored response there
    "server",  # the provider failed inside, or answered what it should not
    "truncated",  # the answer began and then the line was cut
]

# kind -> (status, type, code) as OpenAI would say it. 502 and 504 mark what only a gateway can see.
_WIRE: Mapping[Kind, tuple[int, str, str]] = {
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded"),
    "overloaded": (503, "server_error", "overloaded"),
    "timeout": (504, "server_error", "upstream_timeout"),
    "connection": (502, "server_error", "upstream_connection"),
    "auth": (401, "authentication_error", "upstream_authentication"),
    "bad_request": (400, "invalid_request_error", "invalid_request"),
    "context_length": (400, "invalid_request_error", "context_length_exceeded"),
    "content_filter": (400, "invalid_request_error", "content_filter"),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "server": (502, "server_error", "server_error"),
    "truncated": (502, "server_error", "upstream_truncated"),
}


class TollbookError(Exception):
    """An error with everything a client needs to act on it.

    `retry_after` is in seconds. `headers` are forwarded to the client (rate limits, request ids).
    """

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the wire calls it type
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.status if status is None else status
        self.type = self.type if type is None else type
        self.code = self.code if code is None else code
        self.param = param
        self.retry_after = retry_after
        self.headers: dict[str, str] = dict(headers or {})

    def to_wire(self) -> dict[str, Any]:
        """The inner error object: `{"message", "type", "param", "code"}`."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def envelope(self) -> dict[str, Any]:
        """The body of an error answer: `{"error": {...}}`."""
        return {"error": self.to_wire()}


class ConfigError(TollbookError):
    """The configuration cannot be used. The message names file, line and path."""

    code = "invalid_config"


class InvalidRequest(TollbookError):
    """The client's request is wrong."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class Unsupported(InvalidRequest):
    """Content that the chosen target has no words for; `params` names every one of them."""

    code = "unsupported_parameter"

    def __init__(self, params: Sequence[str], target: str) -> None:
        self.params = tuple(dict.fromkeys(params))
        names = ", ".join(self.params)
        super().__init__(
            f"{target} cannot represent: {names}. Remove them, or set drop_params: true.", param=self.params[0]
        )


class TooLarge(InvalidRequest):
    """The body is larger than this gateway accepts."""

    status = 413
    code = "request_too_large"


class Unauthenticated(TollbookError):
    """No key, or one that is wrong, expired or revoked."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(TollbookError):
    """The key is right, but not for this."""

    status = 403
    type = "permission_error"
    code = "forbidden"


class NotFound(TollbookError):
    """Absent, deleted or somebody else's: the same answer for all three."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class Conflict(TollbookError):
    """Not possible in the present state."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class RateLimited(TollbookError):
    """A limit of this gateway was reached."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class BudgetExceeded(RateLimited):
    """A budget has nothing left. Its facts stand in the error beside OpenAI's fields."""

    type = "insufficient_quota"  # OpenAI's word for it, which clients know
    code = "budget_exceeded"

    def __init__(
        self, message: str, *, budget: Mapping[str, Any], retry_after: float, headers: Mapping[str, str]
    ) -> None:
        super().__init__(message, retry_after=retry_after, headers=headers)
        self.budget = dict(budget)

    def to_wire(self) -> dict[str, Any]:
        """OpenAI's fields, and `budget`."""
        return {**super().to_wire(), "budget": self.budget}


class Unavailable(TollbookError):
    """Nothing that could serve this call is up now."""

    status = 503
    code = "no_deployment_available"


class UpstreamError(TollbookError):
    """A provider failed.

    `kind` is decided by the dialect from status and code, never from the words of the message, and everything else
    follows from it: OpenAI's status, type and code, and whether routing tries again, elsewhere, or not at all.
    `upstream_status` is what the provider answered (None if it did not answer).
    """

    def __init__(
        self,
        message: str,
        kind: Kind,
        *,
        upstream_status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        status, type_, default_code = _WIRE[kind]
        if kind == "auth" and upstream_status == 403:
            status, type_ = 403, "permission_error"
        if kind in ("server", "overloaded") and upstream_status in (500, 503):
            status = upstream_status
        if kind == "bad_request" and upstream_status in (409, 413, 415, 422):
            status = upstream_status
        super().__init__(
            message,
            status=status,
            type=type_,
            code=code or default_code,
            param=param,
            retry_after=retry_after,
            headers=headers,
        )
        self.kind: Kind = kind
        self.upstream_status = upstream_status
        self.request_id = request_id
