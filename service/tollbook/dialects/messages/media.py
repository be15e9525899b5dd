"""Content parts -> blocks: text, images, documents.

https://platform.claude.com/docs/en/build-with-claude/vision and .../pdf-support.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from tollbook.responses.types import Part

from .remarks import Remarks
from .shape import string

Block = dict[str, Any]

FILES_BETA = "files-api-2025-04-14"

# Blocks that Anthropic has and OpenAI has not: a client may write them where a part stands.
_NATIVE = frozenset({"document", "search_result", "container_upload", "tool_reference", "image"})

_DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^,]*)?),(?P<data>.*)", re.DOTALL)


def block(part: Part, where: str, remarks: Remarks) -> Block | None:
    """The block for one part, or None where it is empty or cannot be said (`remarks` knows then)."""
    kind = string(part.get("type"))
    found: Block | None
    if kind in ("input_text", "output_text", "text", "summary_text"):
        found = text(part.get("text"))
    elif kind == "refusal":
        found = text(part.get("refusal"))
    elif kind == "input_image":
        found = _image(part, where, remarks)
    elif kind == "input_file":
        found = _file(part, where, remarks)
    elif kind in _NATIVE:
        found = dict(part)
        if kind == "container_upload":
            remarks.beta(FILES_BETA)
    else:
        remarks.unsupported(f"{where}.type={kind}")
        return None
    return marked(found, part)


def text(value: Any) -> Block | None:
    """A text block. Blocks without a visible character are refused by the API, so there is none for these."""
    return {"type": "text", "text": value} if isinstance(value, str) and value.strip() else None


def marked(found: Block | None, source: dict[str, Any]) -> Block | None:
    """The block with the cache breakpoint that the client put on its source."""
    if found is not None and isinstance(source.get("cache_control"), dict):
        found["cache_control"] = source["cache_control"]
    return found


def _image(part: Part, where: str, remarks: Remarks) -> Block | None:
    url = part.get("image_url")
    if isinstance(url, dict):  # as Chat Completions nests it
        url = url.get("url")
    if part.get("detail") not in (None, "auto"):
        remarks.dropped(f"{where}.detail")
    if isinstance(url, str) and url:
        data = _DATA_URL.fullmatch(url)
        if data is None:
            return {"type": "image", "source": {"type": "url", "url": url}}
        return {"type": "image", "source": _base64(data)}
    if part.get("file_id"):
        remarks.beta(FILES_BETA)
        return {"type": "image", "source": {"type": "file", "file_id": part["file_id"]}}
    remarks.unsupported(f"{where}.image_url")
    return None


def _file(part: Part, where: str, remarks: Remarks) -> Block | None:
    name = string(part.get("filename"))
    source: dict[str, Any]
    if isinstance(part.get("file_data"), str) and part["file_data"]:
        data = _DATA_URL.fullmatch(part["file_data"])
        if data is not None:
            source = _base64(data)
        else:
            guessed = mimetypes.guess_type(name)[0]
            source = {"type": "base64", "media_type": guessed or "application/pdf", "data": part["file_data"]}
        media_type = source["media_type"]
        if media_type.startswith("image/"):
            return {"type": "image", "source": source}
        if media_type.startswith("text/") or media_type in ("application/json", "application/xml"):
            try:
                plain = base64.b64decode(source["data"]).decode()
            except (binascii.Error, ValueError):
                remarks.unsupported(f"{where}.file_data")
                return None
            source = {"type": "text", "media_type": "text/plain", "data": plain}
        elif media_type != "application/pdf":
            remarks.unsupported(f"{where}.file_data={media_type}")
            return None
    elif part.get("file_url"):
        source = {"type": "url", "url": part["file_url"]}
    elif part.get("file_id"):
        remarks.beta(FILES_BETA)
        source = {"type": "file", "file_id": part["file_id"]}
    else:
        remarks.unsupported(f"{where}.file_data")
        return None
    document: Block = {"type": "document", "source": source}
    if name:
        document["title"] = name
    for extra in ("title", "context", "citations"):  # Anthropic's own members, if the client knows them
        if part.get(extra) is not None:
            document[extra] = part[extra]
    return document


def _base64(found: re.Match[str]) -> dict[str, Any]:
    """A data URL (RFC 2397) as a base64 source."""
    data = found["data"]
    if not found["parameters"].endswith(";base64"):
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return {"type": "base64", "media_type": found["type"] or "text/plain", "data": data}
