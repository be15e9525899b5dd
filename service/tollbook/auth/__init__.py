"""How a request proves who sends it: one `httpx.Auth` per scheme.

A scheme sees each request before it goes out and may change its headers; tokens are fetched and refreshed off the event
loop. Secrets stay out of every `repr`.
"""
