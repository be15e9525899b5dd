"""tollbook serve: the gateway."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from tollbook.access.address import check_address
from tollbook.errors import ConfigError

from .configured import config_argument, configured, data_dir_argument
from .terminal import complain, note

HELP = "run the gateway (this is what happens without a command)"


def arguments(parser: ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port_number, default=4000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--workers", type=_workers, default=1, metavar="N", help="processes (default: %(default)s)")
    data_dir_argument(parser)


def run(args: Namespace) -> int:
    config = configured(args)
    if config.general.master_key is None:
        try:
            check_address(args.host, keyed=False)
        except ConfigError as refused:
            complain(refused.message)
            return 2
        note("no master key: open to this machine only")

    from .places import places, problems

    if found := problems(places(config, os.environ)):
        complain("\n  ".join(["these models cannot be served:", *found]))
        return 1
    if config.warnings:
        note(f"{_settings(len(config.warnings))} ignored, see tollbook check")

    from tollbook.server import serve

    serve(config, host=args.host, port=args.port, workers=args.workers, data_dir=config.data_dir)
    return 0


def _settings(count: int) -> str:
    return "1 setting is" if count == 1 else f"{count} settings are"


def port_number(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise ArgumentTypeError("a number from 1 to 256")
    return int(text)
