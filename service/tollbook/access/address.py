"""Who can reach an address: this machine alone, or others too."""

from __future__ import annotations

from ipaddress import ip_address

from tollbook.errors import ConfigError


def loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name other than localhost may mean anything."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_address(host: str, *, keyed: bool) -> None:
    """Raises ConfigError where others could reach a gateway that has no master key: they would spend its owner's money."""
    if not keyed and not loopback(host):
        raise ConfigError(
            f"without a master key only this machine can be served, and {host} is reachable from others. "
            "Set general_settings.master_key or TOLLBOOK_MASTER_KEY, or listen on 127.0.0.1."
        )
