"""What translating one delta costs, by dialect: bytes of the provider's frame in, bytes of our event out.

    python -m bench.deltas              text, reasoning and arguments in every dialect
    python -m bench.deltas --dialect gemini --profile

Measured is the whole way of one frame without the network: framing, JSON, reader, draft, JSON, framing. The target is
15 µs of CPU for each delta; the exit code says whether it was reached. The best of several rounds counts, because
whatever else the machine does can only make it slower.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import struct
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from zlib import crc32

from rich.console import Console
from rich.table import Table

from tollbook.responses.draft import Draft
from tollbook.transport import sse
from tollbook.transport.eventstream import EventStreamDecoder

TARGET = 15.0
"""µs of CPU for one delta."""

DELTAS = 2000

Piece = Callable[[str], dict[str, Any]]


def _sse(events: list[dict[str, Any]], *, named: bool) -> list[bytes]:
    head = [f"event: {event['type']}\n" if named else "" for event in events]
    return [f"{name}data: {json.dumps(event)}\n\n".encode() for name, event in zip(head, events, strict=True)]


def _eventstream(events: list[dict[str, Any]]) -> list[bytes]:
    """AWS framing: https://smithy.io/2.0/aws/amazon-eventstream.html."""
    found = []
    for event in events:
        ((kind, payload),) = event.items()
        headers = b"".join(
            bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
            for name, value in (
                (b":event-type", kind.encode()),
                (b":content-type", b"application/json"),
                (b":message-type", b"event"),
            )
        )
        data = json.dumps({**payload, "p": "abcdefghijklmnop"}).encode()
        prelude = struct.pack(">II", len(headers) + len(data) + 16, len(headers))
        message = prelude + struct.pack(">I", crc32(prelude)) + headers + data
        found.append(message + struct.pack(">I", crc32(message)))
    return found


def _chat(delta: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "a-model",
        "system_fingerprint": "fp_1",
        "choices": [choice],
    }


def _chat_call(text: str) -> dict[str, Any]:
    return _chat({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})


def _gemini(part: dict[str, Any]) -> dict[str, Any]:
    usage = {
        "promptTokenCount": 20,
        "candidatesTokenCount": 7,
        "totalTokenCount": 27,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
    }
    return {
        "candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    }


def _block(kind: str, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **delta}}


def _opened(block: dict[str, Any]) -> list[dict[str, Any]]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude"}
    start = {"type": "message_start", "message": {**message, "usage": {"input_tokens": 20, "output_tokens": 1}}}
    return [start, {"type": "content_block_start", "index": 0, "content_block": block}]


def _converse(delta: dict[str, Any]) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}}


def _cohere(kind: str, message: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": message}}


_NATIVE = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
_TOOL = {"toolUse": {"toolUseId": "t1", "name": "find"}}

CASES: dict[tuple[str, str], tuple[list[dict[str, Any]], Piece]] = {
    ("responses", "text"): (
        [{"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "output": []}}],
        lambda text: {"type": "response.output_text.delta", "sequence_number": 0, "delta": text, **_NATIVE},
    ),
    ("chat", "text"): ([_chat({"role": "assistant", "content": ""})], lambda text: _chat({"content": text})),
    ("chat", "reasoning"): ([], lambda text: _chat({"content": "", "reasoning_content": text})),
    ("chat", "arguments"): (
        [_chat({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "find", "arguments": ""}}]})],
        _chat_call,
    ),
    ("messages", "text"): (
        _opened({"type": "text", "text": ""}),
        lambda text: _block("text_delta", {"text": text}),
    ),
    ("messages", "reasoning"): (
        _opened({"type": "thinking", "thinking": "", "signature": ""}),
        lambda text: _block("thinking_delta", {"thinking": text}),
    ),
    ("messages", "arguments"): (
        _opened({"type": "tool_use", "id": "t1", "name": "find", "input": {}}),
        lambda text: _block("input_json_delta", {"partial_json": text}),
    ),
    ("gemini", "text"): ([], lambda text: _gemini({"text": text})),
    ("gemini", "reasoning"): ([], lambda text: _gemini({"text": text, "thought": True})),
    ("converse", "text"): ([{"messageStart": {"role": "assistant"}}], lambda text: _converse({"text": text})),
    ("converse", "reasoning"): ([], lambda text: _converse({"reasoningContent": {"text": text}})),
    ("converse", "arguments"): (
        [{"contentBlockStart": {"contentBlockIndex": 0, "start": _TOOL}}],
        lambda text: _converse({"toolUse": {"input": text}}),
    ),
    ("cohere", "text"): (
        [{"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant"}}}],
        lambda text: _cohere("content-delta", {"content": {"text": text}}),
    ),
    ("cohere", "reasoning"): ([], lambda text: _cohere("content-delta", {"content": {"thinking": text}})),
    ("cohere", "arguments"): (
        [_cohere("tool-call-start", {"tool_calls": {"id": "c1", "function": {"name": "find", "arguments": ""}}})],
        lambda text: _cohere("tool-call-delta", {"tool_calls": {"function": {"arguments": text}}}),
    ),
}
"""What comes before, and one delta. Fields are those that the providers really send."""


def chunks(dialect: str, kind: str, deltas: int = DELTAS) -> tuple[list[bytes], list[bytes]]:
    """The bytes before the deltas, and those of each delta."""
    before, piece = CASES[dialect, kind]
    after = [piece(f" word{number % 10}") for number in range(deltas)]
    if dialect == "responses":
        for number, event in enumerate(after, len(before)):
            event["sequence_number"] = number
    if dialect == "converse":
        return _eventstream(before), _eventstream(after)
    named = dialect in ("responses", "messages")
    return _sse(before, named=named), _sse(after, named=named)


def translate(dialect: str, before: list[bytes], deltas: list[bytes]) -> tuple[float, int]:
    """CPU seconds for all deltas, and how many bytes came out for them."""
    module: Any = import_module(f"tollbook.dialects.{dialect}")
    request = {"model": "a-model", "input": "Hello."}
    draft = Draft(request, response_id="resp_1", model="a-model")
    reader = module.reader(draft, request)
    decoder = EventStreamDecoder() if dialect == "converse" else sse.SSEDecoder()
    for _ in _events(before, decoder, reader, draft):
        pass
    size = 0
    began = time.process_time()
    for event in _events(deltas, decoder, reader, draft):
        size += len(event)
    return time.process_time() - began, size


def _events(data: list[bytes], decoder: Any, reader: Any, draft: Draft) -> Iterator[bytes]:
    for chunk in data:
        for frame in decoder.feed(chunk):
            reader.feed(frame)
        for frame in draft.take():
            yield sse.write(frame)


def measure(dialect: str, kind: str, rounds: int) -> float:
    """µs for one delta: the best of some rounds."""
    before, deltas = chunks(dialect, kind)
    best = min(translate(dialect, before, deltas)[0] for _ in range(rounds))
    return best / len(deltas) * 1e6


def main() -> int:
    """Measure and print. 1 when a dialect is slower than the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dialect", choices=sorted({dialect for dialect, _ in CASES}))
    parser.add_argument("--profile", action="store_true", help="where the time goes")
    arguments = parser.parse_args()
    wanted = [case for case in CASES if arguments.dialect in (None, case[0])]
    if arguments.profile:
        for dialect, kind in wanted:
            before, deltas = chunks(dialect, kind)
            with cProfile.Profile() as profile:
                translate(dialect, before, deltas)
            pstats.Stats(profile).sort_stats("tottime").print_stats(14)
    table = Table(title=f"µs per delta, the best of {arguments.rounds} rounds of {DELTAS}; at most {TARGET:g}")
    for column in ("dialect", "delta", "µs"):
        table.add_column(column, justify="right" if column == "µs" else "left")
    slow = False
    for dialect, kind in wanted:
        cost = measure(dialect, kind, arguments.rounds)
        slow = slow or cost > TARGET
        table.add_row(dialect, kind, f"{'[red]' if cost > TARGET else ''}{cost:.1f}")
    Console(width=100).print(table)
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
