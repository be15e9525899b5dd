"""Responses -> Responses: the same."""

from __future__ import annotations

from .express import Request, Turn


def request(body: Request, turn: Turn) -> Request:
    return body
