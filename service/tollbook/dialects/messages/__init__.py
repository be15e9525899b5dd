"""Anthropic Messages, on Anthropic, Vertex AI and Bedrock alike: https://platform.claude.com/docs/en/api/messages.

    write.py         request -> body
    conversation.py  items -> system and messages
    media.py         images, documents -> blocks
    tools.py         tools and tool choice
    thinking.py      reasoning effort -> thinking
    schema.py        answers in JSON
    claude.py        what each model takes
    read.py          frames -> facts
    hosted.py        what Anthropic's own tools did -> output items
    error.py         refusals
    remarks.py       notes, refusals, beta flags
    shape.py         untrusted values

One answer becomes several items, and the next request must send its blocks back exactly. What no item can hold travels
sealed in `encrypted_content` of reasoning items: the signature of a thinking block, redacted thinking, and runs of
blocks that only Anthropic understands (server tool uses, their results, compactions).
"""

from __future__ import annotations

from .error import error
from .read import reader
from .write import write

native = False
inlines_urls: frozenset[str] = frozenset()

__all__ = ["error", "inlines_urls", "native", "reader", "write"]
