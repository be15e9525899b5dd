"""Examples of property tests may take as long as a busy machine needs: what they show is right or wrong, not quick."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
