"""What the simulated provider says of its usage is what its deployment was told to say."""

from __future__ import annotations

import pytest

import tollbook

USAGE = [
    ({}, (6, 0, 0, 11)),
    ({"scale": 40}, (240, 0, 0, 11)),
    ({"scale": 40, "spread": 3}, (240, 0, 0, 33)),
    ({"scale": 40, "cached": 50, "written": 20}, (240, 120, 48, 11)),
]


@pytest.mark.parametrize(("simulate", "expected"), USAGE)
@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_as_the_deployment_wants_them(
    simulate: dict[str, int], expected: tuple[int, int, int, int], stream: bool
) -> None:
    params = {"model": "simulated/echo", "extra_body": {"simulate": {**simulate, "provider": "openai"}}}
    with tollbook.Router(model_list=[{"model_name": "m", "litellm_params": params}]) as router:
        if stream:
            response = list(router.responses("hello there", "m", stream=True))[-1].response
        else:
            response = router.responses("hello there", "m")

    usage = response.usage
    details = usage.input_tokens_details
    assert (usage.input_tokens, details.cached_tokens, details.cache_write_tokens, usage.output_tokens) == expected
