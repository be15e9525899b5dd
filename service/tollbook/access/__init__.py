"""Who calls, what they may do, and for whom they do it.

keys.py    secrets -> callers: the master key, virtual keys, or nobody's key on a loopback gateway
owner.py   the end user and the tags of a request
"""

from __future__ import annotations

from .keys import Caller, Key, Keys, allow_model, may_use, presented
from .owner import end_user, tags

__all__ = ["Caller", "Key", "Keys", "allow_model", "end_user", "may_use", "presented", "tags"]
