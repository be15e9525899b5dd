"""The version of this product."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("tollbook")
