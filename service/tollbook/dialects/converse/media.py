"""Images, documents, videos and sound as blocks of Converse: base64 bytes or a place in S3, never a web address.

Formats: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html and its neighbours.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from tollbook.responses.types import Part

_IMAGES = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}

_DOCUMENTS = {
    "pdf": "pdf",
    "csv": "csv",
    "doc": "doc",
    "docx": "docx",
    "xls": "xls",
    "xlsx": "xlsx",
    "html": "html",
    "htm": "html",
    "txt": "txt",
    "md": "md",
    "markdown": "md",
    "msword": "doc",
    "vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "vnd.ms-excel": "xls",
    "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    # Text of other kinds has no format of its own.
    "plain": "txt",
    "json": "txt",
    "xml": "txt",
    "yaml": "txt",
}

_VIDEOS = {
    "mp4": "mp4",
    "quicktime": "mov",
    "mov": "mov",
    "x-matroska": "mkv",
    "mkv": "mkv",
    "webm": "webm",
    "x-flv": "flv",
    "flv": "flv",
    "mpeg": "mpeg",
    "mpg": "mpg",
    "x-ms-wmv": "wmv",
    "wmv": "wmv",
    "3gpp": "three_gp",
}

_AUDIO = frozenset(
    ["mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"]
)

# The first bytes of a file, in base64 (three bytes are four characters), where nobody said what it is.
_MAGIC = (("iVBORw0KGgo", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp"), ("JVBERi", "pdf"))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the bytes are, and what they are said to be: media type's second half or file extension, lower case."""

    source: dict[str, Any]
    family: str
    format: str


class Names:
    """Document names: neutral characters only, each once in a request (both are demanded)."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, name: Any) -> str:
        stem = str(name or "").rsplit("/", 1)[-1]
        stem = stem.rsplit(".", 1)[0] if "." in stem[1:] else stem
        base = " ".join(re.sub(r"[^0-9A-Za-z\s\-()\[\]]+", "-", stem).split()).strip("-")[:180].strip() or "Document"
        found, number = base, 1
        while found.lower() in self._taken:
            number += 1
            found = f"{base} ({number})"
        self._taken.add(found.lower())
        return found


def image(part: Part) -> dict[str, Any] | None:
    """An `input_image`; None for a web address, a file id or a format that is no image there."""
    url = part.get("image_url")
    source = _source(url.get("url") if isinstance(url, dict) else url, "")
    if source is None or source.format not in _IMAGES:
        return None
    return {"image": {"format": _IMAGES[source.format], "source": source.source}}


def file(part: Part, names: Names) -> dict[str, Any] | None:
    """An `input_file`: a document, or an image or video if its type says so."""
    filename = str(part.get("filename") or "")
    source = _source(part.get("file_data") or part.get("file_url"), filename)
    if source is None:
        return None
    if source.family == "image" or source.format in _IMAGES:
        return (
            {"image": {"format": _IMAGES[source.format], "source": source.source}} if source.format in _IMAGES else None
        )
    if source.family == "audio":
        return {"audio": {"format": source.format, "source": source.source}} if source.format in _AUDIO else None
    if source.family == "video" or (source.family != "text" and source.format in _VIDEOS):
        form = _VIDEOS.get(source.format)
        return {"video": {"format": form, "source": source.source}} if form else None
    form = _DOCUMENTS.get(source.format) or ("txt" if source.family == "text" else None)
    if form is None:
        return None
    title = part.get("title") or filename or source.source.get("s3Location", {}).get("uri")
    document: dict[str, Any] = {"format": form, "name": names.unique(title), "source": source.source}
    if isinstance(part.get("context"), str):
        document["context"] = part["context"]
    citations = part.get("citations")
    if isinstance(citations, dict) and citations.get("enabled"):
        document["citations"] = {"enabled": True}
    return {"document": document}


def audio(part: Part) -> dict[str, Any] | None:
    """An `input_audio`: `{"input_audio": {"data", "format"}}`."""
    told = part.get("input_audio")
    told = told if isinstance(told, dict) else part
    data, form = told.get("data"), told.get("format")
    if not isinstance(data, str) or form not in _AUDIO:
        return None
    return {"audio": {"format": form, "source": {"bytes": data}}}


def _source(text: Any, filename: str) -> _Source | None:
    """A data URL, bare base64 or `s3://` address; None for everything else."""
    if not isinstance(text, str) or not text:
        return None
    extension = _extension(filename)
    if text.startswith("s3://"):
        return _Source({"s3Location": {"uri": text}}, "", extension or _extension(text))
    if not text.startswith("data:"):
        if "://" in text[:16]:
            return None
        return _Source({"bytes": text}, "", extension or _sniffed(text))
    head, comma, data = text[5:].partition(",")
    if not comma:
        return None
    media_type, *parameters = head.lower().split(";")
    if "base64" not in (p.strip() for p in parameters):
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    family, _, form = media_type.strip().partition("/")
    if form in ("", "octet-stream", "*"):
        family, form = "", extension or _sniffed(data)
    return _Source({"bytes": data}, family, form)


def _extension(name: str) -> str:
    tail = name.rsplit("/", 1)[-1]
    return tail.rsplit(".", 1)[1].lower() if "." in tail else ""


def _sniffed(data: str) -> str:
    for magic, form in _MAGIC:
        if data.startswith(magic):
            return form
    head = data[:4096]
    try:
        # Incremental, because the head may end inside a character.
        codecs.getincrementaldecoder("utf-8")().decode(base64.b64decode(head, validate=True))
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return "txt"
