"""Who calls, what they may do, for whom they do it, and how much of it.

keys.py        secrets -> callers: the master key, virtual keys, or nobody's key on a loopback gateway
key.py         a virtual key
caller.py      who makes a request, and which models they may use
teams.py       terms that several keys share
budgets.py     budgets that people make
rules.py       which budgets and limits hold for a call
admission.py   whether a call is let in, what it holds until it ends, and what is left
rates.py       requests and tokens a minute
allowances.py  all of it for a running gateway
owner.py       the end user and the tags of a request
patterns.py    names in which * stands for anything
"""

from __future__ import annotations

from .allowances import Allowances
from .caller import Caller, allow_model, may_use, presented
from .key import Key
from .keys import Keys
from .owner import end_user, tags

__all__ = ["Allowances", "Caller", "Key", "Keys", "allow_model", "end_user", "may_use", "presented", "tags"]
