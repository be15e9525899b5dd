"""The command line: `tollbook --config config.yaml`, or `tollbook COMMAND`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from .commands import (
    audit,
    budgets,
    check,
    dashboard,
    demo,
    doctor,
    keys,
    prices,
    recorder,
    reload,
    report,
    serve,
    teams,
    up,
    version,
)
from .commands.terminal import complain
from .errors import TollbookError

COMMANDS = {
    "serve": serve,
    "up": up,
    "demo": demo,
    "check": check,
    "doctor": doctor,
    "keys": keys,
    "teams": teams,
    "budgets": budgets,
    "audit": audit,
    "prices": prices,
    "report": report,
    "reload": reload,
    "dashboard": dashboard,
    "version": version,
    "recorder": recorder,
}

_ABOUT = """\
The gateway that keeps the books: OpenAI's Responses API in front of every provider,
with exact cost, traces and durable records.

  tollbook                          serve every provider that has credentials in the environment
  tollbook --config config.yaml     serve what the file says
  tollbook up                       the same with the dashboard and a key, to try it out
  tollbook check -c config.yaml     validate the file and price every model, without sending anything
  tollbook doctor -c config.yaml    is everything in order, and does telemetry arrive?
  tollbook keys create alice        make a key for somebody
  tollbook prices list              what your models cost, by whose word, since when

Then point any OpenAI client at http://127.0.0.1:4000/v1.
"""


def parser() -> ArgumentParser:
    """The whole command line."""
    top = ArgumentParser(
        prog="tollbook",
        description=_ABOUT,
        formatter_class=RawDescriptionHelpFormatter,
        epilog="`tollbook COMMAND --help` explains a command; without one, the options of serve apply.",
    )
    top.add_argument("-v", "--version", action="version", version=version.own_version())
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        # A command without help is for Tollbook itself: it works, and is not listed.
        shown = {"help": command.HELP} if command.HELP else {}
        added = commands.add_parser(name, description=command.__doc__, **shown)
        command.arguments(added)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; answers the exit code: 0 done, 1 not possible, 2 misused."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help", "-v", "--version")):
        given.insert(0, "serve")
    args = parser().parse_args(given)
    try:
        code: int = COMMANDS[args.command].run(args)
        sys.stdout.flush()
    except TollbookError as error:
        complain(error.message)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us (`head`) has had enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
