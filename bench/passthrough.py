"""The yardstick: Litestar and httpx on the aiohttp transport, forwarding bytes and understanding nothing.

UPSTREAM=http://127.0.0.1:9001/v1 uvicorn bench.passthrough:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport
from litestar import Litestar, Request, Response, post
from litestar.response import Stream

_client: list[httpx.AsyncClient] = []


def _http() -> httpx.AsyncClient:
    if not _client:
        _client.append(httpx.AsyncClient(transport=AiohttpTransport(), timeout=60))
    return _client[0]


@post("/v1/responses", status_code=200)
async def forward(request: Request[Any, Any, Any]) -> Response[Any]:
    """The same body there, the same body back."""
    body = await request.body()
    http = _http()
    asked = http.build_request(
        "POST", os.environ["UPSTREAM"] + "/responses", content=body, headers={"content-type": "application/json"}
    )
    answer = await http.send(asked, stream=True)
    if answer.headers["content-type"].startswith("text/event-stream"):

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in answer.aiter_raw():
                yield chunk
            await answer.aclose()

        return Stream(chunks(), media_type="text/event-stream")
    return Response(await answer.aread(), media_type="application/json")


app = Litestar([forward], openapi_config=None, logging_config=None)
