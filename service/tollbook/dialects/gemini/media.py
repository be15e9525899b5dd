"""Images, files and audio: content parts of a message -> Gemini's inlineData and fileData.

https://ai.google.dev/api/caching#Part
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tollbook.responses.types import Part

_FILES_HOST = "generativelanguage.googleapis.com"
_YOUTUBE = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"})

# Only what Gemini takes; a table, because the standard library's guess depends on the machine.
_TYPES = {
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "css": "text/css",
    "csv": "text/csv",
    "flac": "audio/flac",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "md": "text/markdown",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "ogg": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "py": "text/x-python",
    "rtf": "text/rtf",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "xml": "text/xml",
}


def keeps_url(url: str) -> bool:
    """Whether Gemini itself reads this address: its own files, Cloud Storage, YouTube."""
    scheme, host, _ = _place(url)
    return scheme == "gs" or (scheme == "https" and host in _YOUTUBE | {_FILES_HOST})


def media(part: Part) -> Part | None:
    """The Gemini part for an input_image, input_file or input_audio; None when there is nothing Gemini could read."""
    match part.get("type"):
        case "input_image":
            return _linked(part.get("image_url"), None, "image/jpeg") or _stored(part.get("file_id"))
        case "input_file":
            return _file(part)
        case "input_audio":
            audio = part.get("input_audio")
            if isinstance(audio, dict) and isinstance(audio.get("data"), str) and audio["data"]:
                return inline(f"audio/{audio.get('format') or 'wav'}", audio["data"])
    return None


def inline(mime_type: str, data: str) -> Part:
    """A part that carries its bytes, in base64."""
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def _file(part: Part) -> Part | None:
    name, data = part.get("filename"), part.get("file_data")
    if isinstance(data, str) and data:
        if data.startswith("data:"):
            return _linked(data, name, "application/pdf")
        return inline(_type(name) or "application/pdf", data)
    return _linked(part.get("file_url"), name, "application/pdf") or _stored(part.get("file_id"))


def _linked(url: Any, name: Any, default: str) -> Part | None:
    if isinstance(url, dict):
        # The form of Chat Completions, {"url": ...}, which clients send here too.
        url = url.get("url")
    if not isinstance(url, str) or not url:
        return None
    if url.startswith("data:"):
        head, comma, data = url[5:].partition(",")
        mime_type, _, encoding = head.rpartition(";")
        if not comma or encoding != "base64":
            return None
        return inline(mime_type.partition(";")[0] or default, data)
    _, host, path = _place(url)
    if host in _YOUTUBE:
        return {"fileData": {"fileUri": url, "mimeType": "video/mp4"}}
    if host == _FILES_HOST:
        # The service knows the type of a file that was given to it.
        return {"fileData": {"fileUri": url, **_typed(_type(name))}}
    return {"fileData": {"fileUri": url, **_typed(_type(name) or _type(path) or default)}}


def _stored(file_id: Any) -> Part | None:
    """A file that was given to Gemini's Files API, by its name `files/abc` or its address."""
    if not isinstance(file_id, str):
        return None
    if file_id.startswith("files/"):
        return {"fileData": {"fileUri": f"https://{_FILES_HOST}/v1beta/{file_id}"}}
    return _linked(file_id, None, "application/octet-stream") if keeps_url(file_id) else None


def _place(url: str) -> tuple[str, str, str]:
    """Scheme, host and path; empty for what is no address at all."""
    try:
        place = urlsplit(url)
        return place.scheme, place.hostname or "", place.path
    except ValueError:
        return "", "", ""


def _type(name: Any) -> str | None:
    return _TYPES.get(name.rpartition(".")[2].lower()) if isinstance(name, str) else None


def _typed(mime_type: str | None) -> dict[str, str]:
    return {"mimeType": mime_type} if mime_type else {}
