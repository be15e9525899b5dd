"""What every place needs to know of a deployment: its key and the address that stands before the paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from tollbook.config import Deployment
from tollbook.errors import ConfigError

_VERSION = re.compile(r"(/v\d+)\1$")


def key_of(deployment: Deployment, environment: Mapping[str, str], variables: Iterable[str]) -> str | None:
    """The deployment's own key, or the first of these environment variables that is set."""
    return deployment.api_key or next((environment[name] for name in variables if environment.get(name)), None)


def key_needed(deployment: Deployment, environment: Mapping[str, str], variables: tuple[str, ...]) -> str:
    """As `key_of`; raises ConfigError naming what may be set when there is none."""
    key = key_of(deployment, environment, variables)
    if key is None:
        raise ConfigError(
            f"Deployment {deployment.name!r} ({deployment.provider}) has no key: set api_key"
            + (f" or {' or '.join(variables)}." if variables else ".")
        )
    return key


def base_of(given: str, path: str = "") -> str:
    """An address as people write it, without a slash at its end. A bare host gets `path`; a doubled version is one."""
    base = _VERSION.sub(r"\1", given.strip().rstrip("/"))
    if "://" not in base:
        base = f"https://{base}"
    return base + path if urlsplit(base).path in ("", "/") else base


def under(base: str, path: str) -> str:
    """`{base}{path}`, also when the base was given with that path, or with a query (which stays at the end)."""
    base, mark, query = base.partition("?")
    base = base.rstrip("/")
    return (base if base.endswith(path) else base + path) + mark + query
