"""What `tollbook` can be told to do, one module each.

A command is a module with `HELP` (one line), `arguments(parser)` and `run(args) -> int`, the exit code: 0 done, 1 not
possible, 2 misused. Heavy imports are inside the functions, so that `tollbook --help` answers at once.
"""

from __future__ import annotations
