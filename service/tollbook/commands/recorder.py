"""tollbook recorder: owns the tables for a gateway with several workers, which starts it itself."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from .configured import data_dir_argument

HELP = ""


def arguments(parser: ArgumentParser) -> None:
    data_dir_argument(parser)
    parser.add_argument("--retention-days", type=float, metavar="DAYS", help="remove content after that")


def run(args: Namespace) -> int:
    from tollbook.config import default_config
    from tollbook.storage import serve_recorder

    serve_recorder(args.data_dir or default_config(os.environ).data_dir, retention_days=args.retention_days)
    return 0
