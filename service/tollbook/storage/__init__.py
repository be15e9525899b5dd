"""What the gateway remembers: turns (responses with their input) and calls (facts for the bill).

A `Store` acknowledges into a journal on disk and keeps its tables in one DuckDB file. A turn is looked up by its owner:
absent, deleted and foreign are told alike. Three ways to get one:

- `open_store(directory)`: this process owns the tables. For one worker.
- `open_store(None)`: everything in memory, gone at the end. For tests and short programs.
- `connect_store(directory)`: another process owns the tables (`serve_recorder`), lookups ask it. For several workers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tollbook.call import Attempt, Call

if TYPE_CHECKING:
    from .spending import Filters, Frame, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One response, with the input that made it and the place it has in its chain."""

    response_id: str
    previous_response_id: str | None
    session_id: str
    """The id of the first response of the chain."""
    session_started: int
    """When the first turn of the chain was made, in nanoseconds since 1970."""
    number: int
    """1 for the first turn of the chain."""
    key_id: str
    """The owner."""
    call_id: str
    trace_id: str
    span_id: str
    model: str
    """The public name."""
    deployment: str
    provider: str
    native: bool
    """Whether the upstream itself keeps this response, under the same id."""
    created: int
    """Nanoseconds since 1970; the same whenever this response is recorded again."""
    status: str
    """Of the response: completed, incomplete, failed, in_progress, queued, cancelled."""
    request: dict[str, Any]
    """The client's parameters without input."""
    input: list[dict[str, Any]]
    """This turn's own input items, without those of earlier turns."""
    response: dict[str, Any]


@dataclass(slots=True)
class Unfinished:
    """A call that its process did not live to book. Attempts that had not ended have estimated usage."""

    call: Call
    heard: int
    """When it was heard of last, in nanoseconds since 1970."""


class Maker(NamedTuple):
    """Who made something: a deployment, and the public model name that it answered for."""

    deployment: str
    model: str


class Store(Protocol):
    """Where turns and calls are kept. Safe to use from several event loops and threads at once.

    In every lookup `key_id` is who asks; None is the master key and sees all. Any method may raise `Unavailable` with
    code "storage_unavailable" (disk full, recorder down); it works again when the reason is gone.
    """

    def begins(self, call: Call, attempt: Attempt, input_tokens: int) -> None:
        """An attempt is about to be sent, with about so many tokens of input. Takes microseconds, never waits for a disk.

        Should this process be killed (not: the machine), `unfinished` tells of the call. Raises `Unavailable` when the disk is
        full: then nothing may be sent.
        """

    def heard(self, call: Call, attempt: Attempt, output_tokens: int) -> None:
        """About so many tokens of its answer have come by now; told now and then."""

    def unfinished(self) -> AsyncIterator[Unfinished]:
        """Calls that processes which are gone had begun and that are not in the books: whoever iterates records them.

        Each is told to one caller only, and again to another if that one does not come to the end.
        """

    async def record(self, call: Call, turn: Turn | None) -> None:
        """Keep a finished call, and the turn it made if there is one.

        Durable, and visible to every lookup, when it returns. Recording a response id again supersedes its turn;
        recording a call id again changes nothing: what is in the ledger stays, and nothing is counted twice.
        """

    async def turn(self, response_id: str, key_id: str | None) -> Turn:
        """The turn of a response. Raises `NotFound` for absent, deleted and foreign alike."""

    async def chain(self, response_id: str, key_id: str | None) -> list[Turn]:
        """The turns that led to a response and its own, oldest first.

        Raises `NotFound` with code "previous_response_not_found" naming the first turn that is missing.
        """

    async def delete(self, response_id: str, key_id: str | None) -> Turn:
        """Remove a turn's content and owner, durably; the call's facts stay. Returns what it was.

        Raises `NotFound` as `turn` does, so also when it is deleted for the second time.
        """

    async def call(self, call_id: str, key_id: str | None) -> dict[str, Any]:
        """One call with its attempts and their cost lines, ready for JSON. Raises `NotFound`."""

    async def calls(self, *, key_id: str | None, limit: int, before: str | None) -> list[dict[str, Any]]:
        """Calls, newest first, as `call` tells them. `before` is the id of the last call of the page before."""

    async def spend(self, question: Question, key_id: str | None) -> list[dict[str, Any]]:
        """What was spent: for each group its names and `spending.MEASURES`, the dearest first."""

    async def frame(self, name: Frame, filters: Filters, key_id: str | None) -> bytes:
        """Rows for reports, as an Arrow IPC stream: of the view `spend`, or rolled-up hours."""

    async def progress(self) -> dict[str, str | None]:
        """How far hours are `rolled` and days `sealed`: times in ISO 8601, UTC without a zone."""

    async def close(self) -> None:
        """Bring everything recorded into the tables and let go of the files. Closing twice is closing once."""


def open_store(
    directory: Path | None, *, worker: str = "0", retention_days: float | None = None, content: bool = True
) -> Store:
    """A store whose tables this process owns: `directory` on disk, or memory when it is None.

    `worker` names the journal. Content older than `retention_days` is removed, facts are kept; None keeps everything.
    With `content=False` turns are not stored at all, only facts. Raises `ConfigError` when another process owns the
    tables, or a newer Tollbook wrote them.
    """
    from .local import LocalStore

    return LocalStore(directory, worker=worker, retention_days=retention_days, content=content)


def connect_store(directory: Path, *, worker: str = "0", content: bool = True) -> Store:
    """A store whose tables a recorder process owns (`serve_recorder(directory)`).

    `record` writes this worker's own journal and needs no recorder; lookups ask the recorder and raise `Unavailable`
    while there is none.
    """
    from .remote import RemoteStore

    return RemoteStore(directory, worker=worker, content=content)


def serve_recorder(directory: Path, *, retention_days: float | None = None) -> None:
    """Own the tables of `directory` for the workers that `connect_store`, until SIGINT or SIGTERM.

    Raises `ConfigError` as `open_store` does.
    """
    from .remote import serve

    serve(directory, retention_days=retention_days)
