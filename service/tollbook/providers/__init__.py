"""Places: where a deployment lives, how to authenticate there, which language it speaks.

A provider is a module with `endpoint(deployment) -> Endpoint`. Hosts that speak OpenAI's language without peculiarities
are rows in `compatible.py`. Providers from outside are found through the entry-point group `tollbook.providers`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tollbook.dialects import Dialect

if TYPE_CHECKING:
    import httpx

Framing = Literal["sse", "eventstream"]


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What a host would answer, made in this process. `chunks` raises ConnectionError where the line is cut."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Everything needed to send one deployment's requests.

    `url` takes plain requests and `stream_url` streamed ones. `adjust` is the place's own change of the body (Claude on
    Vertex has no `model`, but a version). `propagate` allows trace context to be sent there. `stored_url` is where a
    native Responses host keeps responses ("" elsewhere): `{stored_url}/{response_id}`.
    """

    provider: str
    dialect: Dialect
    url: str
    stream_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: httpx.Auth | None = None
    framing: Framing = "sse"
    adjust: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    stored_url: str = ""
    propagate: bool = False
    auth_scheme: str = "none"
    """How it authenticates, in a word for people: "bearer", "x-api-key", "sigv4", "google", "entra", "none"."""
    local: Callable[[bytes], Awaitable[LocalAnswer]] | None = None
    """Only for a provider that answers in this process (simulated): the body's bytes -> an answer."""
