"""The shared recordings of real provider traffic, and which of them are inference calls.

They live outside the project (`../shared/recordings` beside it). Everything in this package skips when they are absent.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "recordings"

ABSENT = f"the shared recordings are not here ({FOLDER})"

# Wire formats of inference calls; the others (counting tokens, stored responses) are not answers of a model.
INFERENCE = frozenset(
    {
        "openai.chat",
        "openai.responses",
        "anthropic.messages",
        "vertex.anthropic.rawPredict",
        "vertex.anthropic.streamRawPredict",
        "gemini.generateContent",
        "gemini.streamGenerateContent",
        "vertex.generateContent",
        "vertex.streamGenerateContent",
        "bedrock.converse",
        "bedrock.converse-stream",
        "bedrock.invoke",
        "bedrock.invoke-stream",
        "cohere.v2.chat",
    }
)


def present() -> bool:
    return (FOLDER / "index.json").is_file()


@cache
def replay() -> ModuleType:
    """The module `replay` of the shared folder: reads recordings and serves them."""
    if "replay" not in sys.modules:
        spec = importlib.util.spec_from_file_location("replay", FOLDER / "replay.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules["replay"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["replay"]


@cache
def library() -> Any:
    """All recordings: `library()[id]`, `.index`."""
    return replay().Library(FOLDER)


def entries() -> list[dict[str, Any]]:
    """The index rows of all inference recordings; none when the folder is absent."""
    if not present():
        return []
    return [entry for entry in library().index if entry["api"] in INFERENCE]
