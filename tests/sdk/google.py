"""Google's application default credentials on this machine: a service account whose token server is here."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any


class _Tokens(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        raw = json.dumps({"access_token": "ya29.test", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Tests speak for themselves."""


@cache
def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


@contextmanager
def service_account(folder: Path) -> Iterator[None]:
    """GOOGLE_APPLICATION_CREDENTIALS names a file that works."""
    with HTTPServer(("127.0.0.1", 0), _Tokens) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        file = folder / "account.json"
        account = {
            "type": "service_account",
            "client_email": "books@p1.iam.gserviceaccount.com",
            "private_key": _private_key(),
            "token_uri": f"http://127.0.0.1:{server.server_address[1]}/token",
            "project_id": "p1",
        }
        file.write_text(json.dumps(account))
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(file)
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
