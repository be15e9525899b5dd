"""Where Anthropic is, and how to authenticate there."""

from __future__ import annotations

from typing import Any

import pytest

from tollbook.config import Deployment
from tollbook.errors import ConfigError
from tollbook.providers import anthropic


def _deployment(**fields: Any) -> Deployment:
    return Deployment(id="d", name="claude", provider="anthropic", model="claude-sonnet-4-5", **fields)


@pytest.mark.parametrize(
    ("base", "environment"),
    [
        (None, {}),
        ("https://api.anthropic.com/", {}),
        ("https://api.anthropic.com/v1", {}),
        ("https://api.anthropic.com/v1/messages", {}),
        (None, {"ANTHROPIC_BASE_URL": "https://api.anthropic.com"}),
    ],
)
def test_where_anthropic_lives(base: str | None, environment: dict[str, str]) -> None:
    place = anthropic.endpoint(_deployment(api_base=base), {"ANTHROPIC_API_KEY": "k", **environment})

    assert place.url == place.stream_url == "https://api.anthropic.com/v1/messages"
    assert place.headers == {"anthropic-version": "2023-06-01"}
    assert place.auth_scheme == "x-api-key"


def test_the_deployments_key_goes_before_the_environments() -> None:
    import httpx

    place = anthropic.endpoint(_deployment(api_key="mine"), {"ANTHROPIC_API_KEY": "theirs"})

    assert place.auth is not None
    request = next(place.auth.auth_flow(httpx.Request("POST", place.url)))
    assert request.headers["x-api-key"] == "mine"


def test_without_a_key_there_is_no_endpoint() -> None:
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        anthropic.endpoint(_deployment(), {})
