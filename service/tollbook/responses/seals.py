"""What only its maker can read: signatures and redacted thinking, carried in a reasoning item's `encrypted_content`.

A seal names its maker, because a signature sent to another one is an error there. Makers are families, not places:
a Claude signature is good on Anthropic, Bedrock and Vertex alike
(https://docs.claude.com/en/docs/build-with-claude/extended-thinking, "signature values are compatible across platforms").
Contents of native Responses upstreams carry no seal of ours and stay as they are.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from tollbook.transport.wire import decode, encode

_MARK = "tbk1"


def seal(maker: str, content: dict[str, Any]) -> str:
    """Text for `encrypted_content` that `unseal` gives back to the same maker."""
    return f"{_MARK}.{maker}.{base64.urlsafe_b64encode(encode(content)).decode()}"


def unseal(maker: str, text: Any) -> dict[str, Any] | None:
    """The content, if this maker sealed it; None for anything else (foreign, native, broken)."""
    if not isinstance(text, str) or not text.startswith(f"{_MARK}.{maker}."):
        return None
    try:
        content = decode(base64.urlsafe_b64decode(text.split(".", 2)[2]))
    except (ValueError, binascii.Error):
        return None
    return content if isinstance(content, dict) else None


def sealed(text: Any) -> bool:
    """Whether a gateway made this seal, so that it must not be sent to a native Responses upstream."""
    return isinstance(text, str) and text.startswith(_MARK + ".")
