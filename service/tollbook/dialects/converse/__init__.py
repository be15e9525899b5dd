"""Bedrock's Converse and ConverseStream: one language for all of its models.

media.py      images and documents as blocks
content.py    items -> messages
families.py   what the families of models do differently
write.py      our request -> their body
read.py       their frames -> facts for the draft
failure.py    their errors -> one kind of ours
invoke.py     Claude's Messages API inside InvokeModel, with the same errors
"""

from __future__ import annotations

from tollbook.responses.draft import Draft
from tollbook.responses.types import Request

from .failure import error
from .read import Reader
from .write import write

__all__ = ["Reader", "error", "inlines_urls", "native", "reader", "write"]

native = False
inlines_urls = frozenset({"input_image", "input_file"})


def reader(draft: Draft, request: Request) -> Reader:
    """A reader for the answer to `request`."""
    return Reader(draft, request)
