"""Thought signatures: what Gemini wants back on exactly the part it came with.

https://ai.google.dev/gemini-api/docs/thought-signatures. Responses has no such field on a message or a call, so the
reader tells a sealed reasoning item beside the item, and the writer puts the signature back. What a seal holds:

    {"for": "call", "signature", "call_id"}    before the call, found again by its id
    {"for": "text", "signature", "span"}       before the message: the signed part is characters [start, end) of it
    {"for": "said", "signature", "span"}       the same, but after the message: its text was out when the signature came
    {"for": "thought", "signature"}            on the summary of the very item
    {"for": "image", "signature"}              before the image
    {"for": "parts", "parts", "items"}         parts of server-side tools, word for word; they stand for `items` calls
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tollbook.responses import seals
from tollbook.responses.types import Item, Part

MAKER = "google"

UNSIGNED = "skip_thought_signature_validator"
"""Documented for calls that Gemini did not make, or whose signature is lost: Gemini 3 refuses a call without any."""


def seal(content: Mapping[str, Any]) -> str:
    return seals.seal(MAKER, dict(content))


def unseal(item: Item) -> dict[str, Any] | None:
    """What a reasoning item of ours holds; None for foreign ones."""
    return seals.unseal(MAKER, item.get("encrypted_content"))


def signature_of(content: Mapping[str, Any]) -> str | None:
    """The signature in a seal, if there is one."""
    signature = content.get("signature")
    return signature if isinstance(signature, str) and signature else None


def signed_text(text: str, marks: Iterable[tuple[str, Any]]) -> list[Part]:
    """`text` cut into the parts it came in, each signature of `marks` (signature, span) on its own part.

    "Don't merge parts with signatures": a signature that came on an empty part goes back on an empty part. If the text
    is not the one that was signed any more, each signature follows on an empty part, as at the end of a stream.
    """
    spans: list[tuple[int, int, str]] = []
    loose: list[str] = []
    for signature, span in marks:
        match span:
            case [int(start), int(end)] if 0 <= start <= end <= len(text):
                spans.append((start, end, signature))
            case _:
                loose.append(signature)
    parts: list[Part] = []
    position = 0
    for start, end, signature in sorted(spans, key=lambda mark: mark[:2]):
        if start < position:
            loose.append(signature)
            continue
        if start > position:
            parts.append({"text": text[position:start]})
        parts.append({"text": text[start:end], "thoughtSignature": signature})
        position = end
    if position < len(text):
        parts.append({"text": text[position:]})
    parts += [{"text": "", "thoughtSignature": signature} for signature in loose]
    return parts
