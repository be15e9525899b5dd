"""One line of JSON on stdout for every call that is over, named as the ledger's columns are; no content, no key, no name.

A reader that does not read must not stop the gateway: lines are written by a thread of their own, and beyond a bound they
are left out.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from threading import Event, Thread
from typing import Any

from tollbook.call import Call
from tollbook.transport.wire import encode

from . import genai

_log = logging.getLogger("tollbook.telemetry")

MOST = 10_000
"""Lines that may wait."""


def line(call: Call, route: str) -> dict[str, Any]:
    """What is told of a call. Times are RFC 3339 in UTC, durations milliseconds, money nano-dollars."""
    attempt, usage, cost = call.attempt, call.usage, call.cost
    ended = call.ended or call.started
    told: dict[str, Any] = {
        "event": "call",
        "call_id": call.id,
        "started": moment(call.started),
        "duration_ms": round((ended - call.started) / 1e6, 3),
        "operation": call.operation,
        "route": route or None,
        "model": call.model or None,
        "stream": call.stream,
        "status": call.status,
        "outcome": call.outcome,
        "key_id": call.key_id or None,
        "key_alias": call.key_alias,
        "team": call.team,
        "user_hash": genai.user_hash(call) if call.keep != "none" else None,
        "response_id": call.response_id,
        "previous_response_id": call.previous_response_id,
        "session_id": call.session_id,
        "turn": call.turn,
        "task": call.task,
        "trace_id": call.trace_id or None,
        "span_id": call.span_id or None,
    }
    if call.error is not None:
        told |= {"error_type": call.error.type, "error_code": call.error.code}
        told["error_kind"] = getattr(call.error, "kind", None)
    if call.operation == "create":
        told |= {
            "attempts": len(call.attempts),
            "finish": call.finish,
            "events": call.events,
            "bytes_out": call.bytes_out,
            "overhead_ms": round(genai.overhead(call) * 1000, 3),
        }
    if call.first_output is not None:
        told["first_output_ms"] = round((call.first_output - call.started) / 1e6, 3)
    if attempt is not None:
        told |= {
            "provider": attempt.provider,
            "deployment": attempt.deployment,
            "served_model": attempt.served_model,
            "service_tier": attempt.service_tier,
            "usage_source": usage.source,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read + usage.cache_read_audio,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
            "reasoning_tokens": usage.reasoning,
            "cost_status": cost.status,
            "cost_nano": cost.total,
            "price_version": cost.version or None,
        }
    return told


def moment(nanoseconds: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    seconds, rest = divmod(nanoseconds // 1_000_000, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Lines:
    """Writes lines to a stream that may be slow, closed or full. `put` may be called from any thread and never waits."""

    def __init__(self, write: Callable[[str], Any], flush: Callable[[], Any]) -> None:
        self._write = write
        self._flush = flush
        self._waiting: deque[bytes] = deque()
        self._news = Event()
        self._over = False
        self._left_out = 0
        self._thread = Thread(target=self._run, name="tollbook-access-log", daemon=True)
        self._thread.start()

    def put(self, told: dict[str, Any]) -> None:
        """Write it, soon."""
        if len(self._waiting) >= MOST or self._over:
            self._left_out += 1
            return
        self._waiting.append(encode(told))
        if not self._news.is_set():
            self._news.set()

    def close(self, seconds: float) -> None:
        """Write what waits, for so long at the most."""
        self._over = True
        self._news.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._over or self._waiting:
            self._news.wait()
            if not self._over:
                self._news.clear()
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if self._left_out:
                lines.append(encode({"event": "lines_left_out", "count": self._left_out}))
                self._left_out = 0
            try:
                self._write(b"\n".join([*lines, b""]).decode("utf-8", "replace") if lines else "")
                self._flush()
            except (OSError, ValueError) as failure:  # the reader is gone, or the stream is closed
                _log.warning("The access log cannot be written any more: %s", failure)
                self._over = True
                self._waiting.clear()
