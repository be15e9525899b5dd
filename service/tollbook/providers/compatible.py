"""Any host that speaks OpenAI's language: the rows of `hosts.py`, and with `api_base` any other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from tollbook.auth.header import bearer
from tollbook.config import Deployment
from tollbook.dialects import Dialect, chat, responses
from tollbook.errors import ConfigError

from . import Endpoint
from .hosts import HOSTS, SAME, Host
from .place import base_of, key_needed, key_of, under

PROVIDER = "openai_like"
KEY_VARIABLES: tuple[str, ...] = HOSTS[PROVIDER].keys

_BLANK = re.compile(r"\{(\w+)\}")


def knows(provider: str) -> bool:
    return provider in HOSTS or provider in SAME


def names() -> list[str]:
    """Every name that `knows` says yes to."""
    return [*HOSTS, *SAME]


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    """Where the host of `deployment.provider` is.

    `api_base` or `<PROVIDER>_API_BASE` go before the host's own address; the key may then be absent. The options
    `use_responses_api: true` and `manner: {...}` (fields of `chat.Manner`) tell what this host speaks, and how.
    """
    name = SAME.get(deployment.provider, deployment.provider)
    host = HOSTS[name]
    given = deployment.api_base or environment.get(f"{name.upper()}_API_BASE")
    base = base_of(given, _path(host)) if given else base_of(_filled(deployment, host, environment))
    needs_key = not given and host.keys and not host.base.startswith("http://localhost")
    key = key_needed(deployment, environment, host.keys) if needs_key else key_of(deployment, environment, host.keys)
    native = bool(deployment.options.get("use_responses_api", host.native)) and not deployment.use_chat_completions_api
    dialect: Dialect = chat.Chat(_manner(deployment, host))
    if native:
        dialect = responses
    url = under(base, "/responses" if native else "/chat/completions")
    return Endpoint(
        provider=name,
        dialect=dialect,
        url=url,
        stream_url=url,
        headers=host.headers,
        auth=bearer(key) if key else None,
        stored_url=url if native else "",
        propagate=deployment.propagate_trace,
        auth_scheme="bearer" if key else "none",
    )


def _path(host: Host) -> str:
    """What the host's own address has behind its name; "/v1" where everybody runs their own."""
    path = host.base.partition("://")[2] or host.base
    return path[path.find("/") :] if "/" in path and not _BLANK.search(path) else "" if host.base else "/v1"


def _filled(deployment: Deployment, host: Host, environment: Mapping[str, str]) -> str:
    missing = [blank for blank in _BLANK.findall(host.base) if not environment.get(blank)]
    if missing or not host.base:
        places = "".join(f" or {name}" for name in missing)
        raise ConfigError(f"Deployment {deployment.name!r} ({deployment.provider}) needs api_base{places}.")
    return _BLANK.sub(lambda blank: environment[blank[1]].rstrip("/"), host.base)


def _manner(deployment: Deployment, host: Host) -> chat.Manner:
    """The host's manner, with what this deployment says of its own."""
    own: Any = deployment.options.get("manner") or {}
    known = {field.name for field in fields(chat.Manner)}
    if not isinstance(own, Mapping) or not known.issuperset(own):
        raise ConfigError(f"Deployment {deployment.name!r}: options.manner is a mapping of {', '.join(sorted(known))}.")
    lists = {name: type(getattr(host.manner, name)) for name in ("passes", "efforts")}
    return replace(host.manner, **{name: lists.get(name, lambda v: v)(value) for name, value in own.items()})
