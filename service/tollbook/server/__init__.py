"""HTTP: the door for OpenAI SDK clients. Litestar on uvicorn."""

from __future__ import annotations

from .run import serve

__all__ = ["serve"]
