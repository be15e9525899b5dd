"""One scriptable upstream for all tests of this folder."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.server.upstream import Upstream

from . import faults


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        server.scripts.update(faults.SCRIPTS)
        yield server


class _Plain(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


@pytest.fixture(scope="session")
def without_tls() -> Iterator[int]:
    """A port that answers a TLS handshake in plain HTTP, as web servers do."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
