"""An open gateway is for this machine's own programs, not for pages that its browser shows."""

from __future__ import annotations

import pytest

from tollbook.server.gate import foreign


@pytest.mark.parametrize("host", [b"localhost:4000", b"127.0.0.1:4000", b"[::1]:4000", b"localhost", b"127.0.0.9"])
def test_requests_to_loopback_names_are_served(host: bytes) -> None:
    assert foreign({b"host": host}) is None


@pytest.mark.parametrize("host", [b"evil.example:4000", b"10.0.0.1", b"127.0.0.1.evil.example", b"", b"[bad"])
def test_requests_to_other_names_are_refused_so_that_rebinding_a_name_reads_nothing(host: bytes) -> None:
    refusal = foreign({b"host": host})

    assert refusal is not None
    assert (refusal.status, refusal.code) == (403, "foreign_host")


@pytest.mark.parametrize(
    "headers",
    [
        {b"origin": b"https://evil.example"},
        {b"origin": b"null"},
        {b"sec-fetch-site": b"cross-site"},
    ],
)
def test_requests_of_pages_from_elsewhere_are_refused(headers: dict[bytes, bytes]) -> None:
    refusal = foreign({b"host": b"localhost:4000", **headers})

    assert refusal is not None
    assert (refusal.status, refusal.code) == (403, "foreign_origin")


def test_a_page_of_this_machine_may_ask() -> None:
    assert foreign({b"host": b"localhost:4000", b"origin": b"http://localhost:3000"}) is None
