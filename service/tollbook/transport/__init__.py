"""Bytes: JSON, server-sent events and AWS event streams. Nothing here knows a provider or a protocol."""
