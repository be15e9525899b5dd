"""The administrator's routes: keys, teams, budgets, the audit, deployments - only the master key opens them (or nobody's, on a
gateway without one) - and `GET /key`, by which every key sees what is left to it.

asked.py   what several of them do with a request
door.py     who may use them, in whose name, and how a wrong request is answered
"""

from __future__ import annotations

from litestar import Router
from litestar.exceptions import HTTPException

from . import audit, budgets, deployments, keys, own, teams
from .door import LARGEST, too_deep, wrong

_HANDLERS = [
    *keys.ROUTES,
    *teams.ROUTES,
    *budgets.ROUTES,
    *audit.ROUTES,
    *own.ROUTES,
    *deployments.ROUTES,
]

ROUTES = [
    Router(
        "/",
        route_handlers=_HANDLERS,
        exception_handlers={HTTPException: wrong, RecursionError: too_deep},
        request_max_body_size=LARGEST,
    )
]
