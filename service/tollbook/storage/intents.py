"""Calls under way, on file: what a killed process had begun, so that its calls have rows all the same.

Before an attempt is sent a worker appends what it knows of the call; now and then how much of the answer it has heard; at the
end that the call is booked. Nothing waits for the disk: a killed process (SIGKILL, out of memory) leaves to the kernel what it
has written, and only a power cut can lose it. A file is locked for as long as its process lives, and the kernel unlocks it
whatever kills that process: an unlocked file is somebody's last words.

Records are the length and CRC-32 of a msgpack array, then the array; one that was cut off ends the file.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import uuid
import weakref
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from threading import Lock
from time import time_ns
from typing import Any

import msgspec

from tollbook.call import UNPRICED, Attempt, Call, Cost, Line
from tollbook.errors import Unavailable
from tollbook.responses.usage import NO_USAGE, Usage

from . import Unfinished
from .journal import unavailable
from .pack import clean

SUFFIX = ".intents"
LARGEST = 4 * 2**20
"""Bytes of a file; then a new one begins with what is still under way."""

_HEAD = struct.Struct("<II")
_BEGINS, _HEARD, _ENDS = 0, 1, 2

_CALL = (
    *("id", "operation", "started", "model", "stream", "key_id", "key_alias", "team", "end_user", "tags"),
    *("previous_response_id", "session_id", "turn", "task", "keep", "notes", "first_output", "requested_tier"),
    *("reasoning_effort", "max_output_tokens", "temperature", "top_p", "output_type", "trace_id", "span_id"),
    *("continuity", "parent_span"),
)
_ATTEMPT = (
    *("number", "deployment", "provider", "model", "reason", "started", "host", "port", "backoff", "first_byte"),
    *("first_output", "ended", "status_code", "outcome", "error_kind", "error_message", "upstream_request_id"),
    *("upstream_response_id", "served_model", "service_tier", "span_id", "abandoned"),
)
_call, _attempt = attrgetter(*_CALL), attrgetter(*_ATTEMPT)
_encode = msgspec.msgpack.Encoder(enc_hook=str).encode
_decode = msgspec.msgpack.decode
_log = logging.getLogger("tollbook.storage")


@dataclass(slots=True)
class _UnderWay:
    """The records of a call that would be needed again: of its attempts, and what was heard last of each."""

    begun: list[bytes] = field(default_factory=list)
    heard: dict[int, bytes] = field(default_factory=dict)


class Intents:
    """A worker's side. Methods take some ten microseconds and raise `Unavailable` when the disk is full; from any thread."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._directory = directory
        self._worker = worker
        self._lock = Lock()
        self._under_way: dict[str, _UnderWay] = {}
        self._file, self.path = self._open()
        self._size = 0
        _open_files.add(self)

    def begins(self, call: Call, attempt: Attempt, input_tokens: int) -> None:
        """An attempt is about to be sent, with about so many tokens of input."""
        tried = [(_attempt(each), each.usage, each.cost) for each in call.attempts]
        record = _record([_BEGINS, call.id, _call(call), tried, attempt.number, input_tokens])
        with self._lock:
            self._under_way.setdefault(call.id, _UnderWay()).begun.append(record)
            self._write(record)

    def heard(self, call: Call, attempt: Attempt, output_tokens: int) -> None:
        """So many tokens of output have come by now. A full disk is no reason to break off: the end will tell."""
        record = _record([_HEARD, call.id, attempt.number, output_tokens, time_ns()])
        with self._lock:
            self._under_way[call.id].heard[attempt.number] = record
            with suppress(Unavailable):
                self._write(record)

    def ends(self, call: Call) -> None:
        """The call is booked."""
        with self._lock:
            if self._under_way.pop(call.id, None) is not None:
                self._write(_record([_ENDS, call.id]))

    def close(self) -> None:
        """Let go of the file; without calls under way it is of no more use. Closing twice is closing once."""
        with self._lock:
            _open_files.discard(self)
            if self._file >= 0:
                if not self._under_way:
                    self.path.unlink(missing_ok=True)
                os.close(self._file)
                self._file = -1

    def forget(self) -> None:
        """In a forked child: the file, and what is in it, is the parent's."""
        os.close(self._file)
        self._file = -1
        self._under_way.clear()
        self._lock = Lock()

    def _open(self) -> tuple[int, Path]:
        path = self._directory / f"{self._worker}-{uuid.uuid4().hex}{SUFFIX}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file, path

    def _write(self, record: bytes) -> None:
        if self._file < 0:
            return
        try:
            if self._size > LARGEST:
                self._begin_anew()
            os.write(self._file, record)
        except OSError as error:
            raise unavailable(error) from error
        self._size += len(record)

    def _begin_anew(self) -> None:
        """Go on in a new file. For a moment both hold what is under way; a call id is booked once however often it is found."""
        file, path = self._open()
        records = [record for of in self._under_way.values() for record in (*of.begun, *of.heard.values())]
        os.write(file, b"".join(records))
        os.close(self._file)
        self.path.unlink(missing_ok=True)
        self._file, self.path, self._size = file, path, 0


_open_files: weakref.WeakSet[Intents] = weakref.WeakSet()


def _forget_all() -> None:
    for each in list(_open_files):
        each.forget()
    _open_files.clear()


# A child would keep the lock for as long as it lives: flock belongs to the open file, not to the process (flock(2)).
os.register_at_fork(after_in_child=_forget_all)


def _record(values: list[Any]) -> bytes:
    try:
        body = _encode(values)
    except (UnicodeEncodeError, OverflowError, ValueError, TypeError):
        body = _encode(clean(msgspec.to_builtins(values, enc_hook=str)))
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


# What others left


class Left:
    """A file whose process is gone. It is this process's until `settle` or `release`."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file

    def calls(self) -> list[Unfinished]:
        """The calls that were under way."""
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            return list(_unfinished(file.read()))

    def settle(self) -> None:
        """They are booked: the file goes."""
        self._path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Leave it to somebody else."""
        os.close(self._file)


def left(directory: Path) -> Iterator[Left]:
    """The files of processes that are gone, each locked by now."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        if os.fstat(file).st_nlink == 0:  # somebody else has settled it meanwhile
            os.close(file)
            continue
        yield Left(path, file)


def _records(raw: bytes) -> Iterator[list[Any]]:
    place = 0
    while place + _HEAD.size <= len(raw):
        length, crc = _HEAD.unpack_from(raw, place)
        body = raw[place + _HEAD.size : place + _HEAD.size + length]
        if len(body) < length or zlib.crc32(body) != crc:
            return
        yield _decode(body)
        place += _HEAD.size + length


def _unfinished(raw: bytes) -> Iterator[Unfinished]:
    begun: dict[str, Unfinished] = {}
    for record in _records(raw):
        match record:
            case [0, call_id, values, tried, number, input_tokens]:
                told = _rebuilt(values, tried)
                told.attempts[number - 1].usage = Usage(input=input_tokens, source="estimated")
                earlier = begun.get(call_id)
                if earlier is not None:  # another attempt of the same call, beside one that may still run
                    for old, new in zip(earlier.call.attempts, told.attempts, strict=False):
                        if new.ended is None and new.number != number:
                            new.usage = old.usage
                begun[call_id] = Unfinished(told, told.attempts[number - 1].started)
            case [1, call_id, number, output_tokens, at] if call_id in begun:
                attempt = begun[call_id].call.attempts[number - 1]
                attempt.usage = Usage(input=attempt.usage.input, output=output_tokens, source="estimated")
                begun[call_id].heard = at
            case [2, call_id]:
                begun.pop(call_id, None)
            case _:
                _log.warning("A record of a call under way is not understood and is passed over.")
    yield from begun.values()


def _rebuilt(values: list[Any], tried: list[Any]) -> Call:
    call = Call(**dict(zip(_CALL, values, strict=True)))
    call.tags = tuple(call.tags)
    call.parent_span = None if call.parent_span is None else (call.parent_span[0], call.parent_span[1])
    for of_attempt, usage, cost in tried:
        attempt = Attempt(**dict(zip(_ATTEMPT, of_attempt, strict=True)))
        attempt.usage = Usage(**usage) if attempt.ended is not None else NO_USAGE
        lines = tuple(Line(*line) for line in cost["lines"])
        attempt.cost = Cost(**{**cost, "lines": lines}) if attempt.ended is not None else UNPRICED
        call.attempts.append(attempt)
    return call
