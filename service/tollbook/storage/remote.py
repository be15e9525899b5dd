"""Several workers, one recorder: lookups over a Unix-domain socket in the data directory.

A message is its length (8 bytes, big-endian) and msgpack. A question is `[verb, arguments]`; the answer is
`[True, what the recorder said]` or `[False, [message, code, param, status]]`. One lookup, one connection: nothing to repair
when the recorder was restarted in between.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from tollbook.errors import ConfigError, NotFound, TollbookError, Unavailable

from .journal import Journal, journals_path, make_directory
from .journaled import JournaledStore, T

VERBS = frozenset({"turn", "chain", "delete", "call", "calls", "spend", "frame", "progress"})
PATIENCE = 30.0
"""Seconds that a worker waits for an answer."""

_LENGTH = struct.Struct(">Q")
_LONGEST_QUESTION = 2**20
_LONGEST_PATH = 100
"""Of a Unix-domain socket: sun_path holds 104 (BSD, macOS) or 108 bytes (Linux unix(7))."""


class RemoteStore(JournaledStore):
    """A `Store` whose tables another process owns; see `connect_store`."""

    def __init__(self, directory: Path, *, worker: str, content: bool) -> None:
        make_directory(directory)
        journal = Journal(journals_path(directory) / f"{worker}.sqlite")
        super().__init__(journal, directory=directory, worker=worker, content=content)
        self._directory = directory

    async def _ask(self, read: Callable[[Any], T], verb: str, *arguments: Any) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._exchange(msgspec.msgpack.encode([verb, arguments]))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unavailable(
                f"The recorder of {self._directory} does not answer. Is it running?", code="storage_unavailable"
            ) from error
        return await asyncio.to_thread(_read, answer, read)

    async def _exchange(self, question: bytes) -> bytes:
        with _address(self._directory) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.writelines((_LENGTH.pack(len(question)), question))
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            return await reader.readexactly(length)
        finally:
            writer.close()

    async def close(self) -> None:
        await asyncio.to_thread(self._journal.close)
        if self._intents is not None:
            self._intents.close()


def _read(answer: bytes, read: Callable[[Any], T]) -> T:
    fine, said = msgspec.msgpack.decode(answer)
    if fine:
        return read(said)
    message, code, param, status = said
    if status == NotFound.status:
        raise NotFound(message, code=code, param=param)
    raise Unavailable(message, code=code, param=param)


class RecorderServer:
    """Owns the tables of a directory and answers the workers' lookups. Raises `ConfigError` as `open_store` does."""

    def __init__(self, directory: Path, *, retention_days: float | None = None) -> None:
        from .recorder import Recorder

        make_directory(directory)
        self._directory = directory
        self._recorder = Recorder(directory, retention_days=retention_days)
        self._lookups = ThreadPoolExecutor(4, thread_name_prefix="tollbook-lookup")
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        # Whoever owns the tables owns the socket: one that lies here was left by a recorder that died.
        (self._directory / "recorder.sock").unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            with _address(self._directory) as path:
                listener.bind(path)
        except OSError as error:
            listener.close()
            raise ConfigError(f"The recorder cannot listen on {self._directory / 'recorder.sock'}: {error}") from error
        (self._directory / "recorder.sock").chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    async def close(self) -> None:
        """Hang up, and take over what the journals hold."""
        if self._server is not None:
            self._server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await self._server.wait_closed()
            (self._directory / "recorder.sock").unlink(missing_ok=True)
        await asyncio.to_thread(self._lookups.shutdown)
        await asyncio.to_thread(self._recorder.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            # A worker that hangs up in the middle, or that says nonsense, is left.
            with suppress(
                OSError, asyncio.IncompleteReadError, asyncio.CancelledError, msgspec.DecodeError, ValueError
            ):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if length <= _LONGEST_QUESTION:
                    question = await reader.readexactly(length)
                    loop = asyncio.get_running_loop()
                    answer = await loop.run_in_executor(self._lookups, self._answer, question)
                    writer.writelines((_LENGTH.pack(len(answer)), answer))
                    await writer.drain()
        finally:
            self._connections.discard(task)
            writer.close()

    def _answer(self, question: bytes) -> bytes:
        verb, arguments = msgspec.msgpack.decode(question)
        if verb not in VERBS:
            raise ValueError(verb)
        try:
            answer = [True, getattr(self._recorder, verb)(*arguments)]
        except TollbookError as error:
            answer = [False, [error.message, error.code, error.param, error.status]]
        return msgspec.msgpack.encode(answer)


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    """A path to the socket that is short enough: through the open directory where its own is too long (Linux)."""
    path = str(directory / "recorder.sock")
    if len(os.fsencode(path)) <= _LONGEST_PATH or not Path("/proc/self/fd").is_dir():
        yield path
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}/recorder.sock"
    finally:
        os.close(descriptor)


def serve(directory: Path, *, retention_days: float | None) -> None:
    """Run a recorder until SIGINT or SIGTERM."""
    server = RecorderServer(directory, retention_days=retention_days)

    async def run() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        try:
            await server.start()
            await stopped.wait()
        finally:
            await server.close()

    asyncio.run(run())
