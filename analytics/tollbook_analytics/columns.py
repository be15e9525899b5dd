"""What each number of a report is, how it was computed, and in which unit it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Unit: TypeAlias = Literal["name", "moment", "day", "count", "nano", "share", "milliseconds", "number", "flag", "list"]
"""`nano` is integer nano-USD, `share` a part of 1."""


class Column(NamedTuple):
    """A column of a report."""

    unit: Unit
    words: str
    """How it was computed, as a sentence without its full stop."""


def _of(unit: Unit, **columns: str) -> dict[str, Column]:
    return {name: Column(unit, words) for name, words in columns.items()}


COLUMNS: Mapping[str, Column] = {
    **_of(
        "name",
        key="the id of the virtual key",
        key_alias="the key's newest alias in the window",
        team="the key's team",
        end_user="the end user that the client named",
        model="the public name that the client asked for",
        provider="where the attempt went",
        deployment="the deployment that was asked",
        tag="a tag of the call; a call with several is under each of them",
        session="the id of the first response of the conversation",
        task="what the client called the task",
        outcome="how the call ended",
        upstream_model="the model as the provider knows it",
        tier="the service tier that was served",
        reason="why the attempt was made: initial, retry, fallback, hedge or continuation",
        error_kind="what went wrong with the attempt",
        error_code="what the client was told",
        finish="why the model stopped",
        usage_source="who counted the tokens: the provider, or an estimate",
        price_version="the version of the price that was applied",
        price_source="where the price is from: an override, the catalogue, or the provider itself",
        kind="the kind of token; kinds are disjoint",
        waste="why it was in vain",
        at="who refused: an upstream, or the gateway itself",
        error="the kind of error of an attempt, or the code of a refusal",
        metric="what was measured",
        response_id="the response that the turn made",
        previous_response_id="the response that it follows",
        call_id="the call, for GET /v1/calls/{id}",
        name="the budget",
        scope="for what the budget is",
        subject="for whom",
        window="the stretch of time",
        state="breached, at risk (it will be before the period ends), or within",
        by="what was looked at",
        words="what the jump was made of",
        to="the model that the traffic would have gone to",
        why="the price that lacked a rate; empty where nobody knew the model",
        finding="what the comparison came to",
    ),
    **_of(
        "moment",
        time="the first moment of the hour, day, week or month, in the zone of the window",
        start="from",
        end="up to, not including",
        newest="when the last call of the window began",
        started="when it began",
        ended="when its last call began",
        since="when the period of the budget began",
        resets="when the budget begins anew",
        breach="when the limit was passed (to the hour), or will be at the present pace",
        first="when it was first seen in the window",
        last="when it was last seen in the window",
    ),
    **_of("day", month="the first day of the month", date="the day, in the zone of the window"),
    **_of(
        "count",
        calls="calls that make responses, each once",
        failed="calls that ended in an error of an upstream",
        errors="calls that gave the client an error: failed and rejected",
        attempts="attempts at an upstream, the ones in vain included",
        input_tokens="all input tokens, cached ones and media included",
        output_tokens="all output tokens, reasoning and media included",
        cache_read_tokens="input tokens that were read from a cache",
        cache_write_tokens="input tokens that were written to a cache",
        tokens="input and output tokens",
        unpriced="attempts that used tokens, or answered, and whose cost is unknown: it is in no sum",
        unpriced_tokens="tokens of attempts without a price",
        unknown="attempts with cached tokens whose rate is unknown: they are in neither saving nor premium",
        missed_tokens="an estimate of the tokens that a cache might have held",
        completed="calls that were answered to the end",
        incomplete="calls whose answer a limit or a filter ended",
        rejected="calls that were refused before any upstream was asked",
        cancelled="calls that were cancelled",
        client_disconnected="calls whose client hung up",
        retried="calls that a retry answered",
        fallen_back="calls that a fallback to another model answered",
        hedged="calls that a second attempt beside the first answered",
        continued="calls that went on elsewhere after the stream broke off",
        times="how often",
        count="calls that were answered, each once",
        turns="calls of the conversation",
        turn="the place in the conversation, 1 for the first; those from 50 on are one row",
        repeated_tokens="input that the turn before had sent or been answered",
        new_tokens="input that had not been sent before",
        moved="turns that were answered elsewhere than their parent",
        input_per_turn="input tokens by calls",
        users="end users with a call",
        tasks="tasks that were named, or calls whose outcome was reported",
        judged="tasks with a reported outcome",
        succeeded="tasks whose latest reported outcome is a success",
        left_out="attempts with audio or images, which are in neither sum",
        days_left="days of the month that are not over",
        history_days="whole days that the forecast rests on",
        tested_days="days that were forecast from the days before them alone",
    ),
    **_of(
        "nano",
        cost_nano="the known cost of all attempts, those in vain included; empty where nothing of it is known",
        margin_nano="what the operator takes on top; it is in no cost",
        saved_nano="read tokens at the rate of plain input, less what reading them cost",
        premium_nano="what writing to the cache cost, less the same tokens at the rate of plain input",
        net_nano="what reads saved, less what writes cost extra",
        saved_net_nano="what reads from the cache saved, less what writes to it cost extra",
        missed_nano="an estimate of what a cache might have saved; see the assumptions",
        wasted_nano="the cost of attempts that nobody got an answer from, or not as it was meant",
        of_nano="everything that the group spent",
        nano_per_million="the known cost of the kind by its priced tokens, for a million",
        nano_per_call="the known cost by calls",
        nano_per_turn="the known cost by turns",
        so_far_nano="the cost up to there",
        nano_per_user="the known cost of calls that name an end user, by end users",
        nano_per_task="the known cost of tasks, by tasks",
        judged_nano="the known cost of tasks with a reported outcome",
        nano_per_success="the known cost of all judged tasks, failures included, by those that succeeded",
        limit_nano="the limit",
        spent_nano="what was spent of it; a lower bound where something is unpriced",
        left_nano="the limit less what was spent",
        pace_nano="spend a day, over the last seven days or since spend began in them",
        projected_nano="what the period ends with at this pace",
        even_nano="what would be left if the limit were spent evenly",
        expected_nano="what is expected",
        low_nano="the lower edge of the interval",
        high_nano="the upper edge of the interval",
        jump_nano="the cost of the day less what was expected",
        now_nano="what it cost",
        then_nano="what it would have cost, rounded once",
        difference_nano="the second less the first",
        before="the price of a million tokens before",
        after="and after",
        booked_nano="what the books say",
        billed_nano="what the provider says",
    ),
    **_of(
        "share",
        share="its part of the whole",
        error_share="failed and rejected calls, of all calls",
        hit_share="input tokens read from a cache, of all input tokens",
        waste_share="the cost of what was in vain, of all cost",
        tokens_share="of all tokens of the group",
        cost_share="of all known cost of the group",
        fallback_share="calls answered by a fallback, of those that reached an upstream",
        error_bound="how far percentiles may be off, as a part of them; 0 is exact",
        repeated_share="repeated tokens, of all input tokens",
        success_share="successes, of judged tasks",
        used_share="of the limit",
        covered_share="how much the interval, or the books, covered",
        change_share="the change, as a part of what was before",
    ),
    **_of(
        "milliseconds",
        first_output_p50="to the first output, for half of the calls at most; within 2.2 %",
        first_output_p95="to the first output, for 95 % of the calls at most; within 2.2 %",
        first_output_ms_p50="to the first output, for half of the calls at most",
        first_output_ms_p95="to the first output, for 95 % of the calls at most",
        duration_ms_p50="to the end, for half of the calls at most",
        duration_ms_p95="to the end, for 95 % of the calls at most",
        from_ms="from so many milliseconds",
        to_ms="up to, not including",
    ),
    **_of(
        "number",
        p50="what half of the calls do not exceed, by nearest rank",
        p95="what 95 % of the calls do not exceed, by nearest rank",
        p99="what 99 % of the calls do not exceed, by nearest rank",
        tokens_per_second_p50="output tokens a second, after the first output where it was streamed: the median",
        attempts_per_call="attempts, by calls that reached an upstream",
        context_growth="the input of the last turn, by that of the first",
        score="how many spreads above the usual; infinite for somebody new",
    ),
    **_of(
        "flag",
        other="whether the row is all groups after the dearest",
        previous="whether it is the equal period before",
        stale="whether a newer version of the same model's price was in use before its last use",
        replayed="whether it was answered elsewhere than its parent, so that the history was sent anew",
    ),
    **_of("list", models="the models that answered", contributors="the combinations that the jump was made of"),
}
"""Every column that any report has."""


def heading(name: str) -> str:
    """A column's name for people: units are said with the numbers."""
    words = name.removesuffix("_nano").removesuffix("_share")
    return (
        words.replace("nano_per_", "cost per ")
        .replace("_p50", " p50")
        .replace("_p95", " p95")
        .replace("_ms", "")
        .replace("_", " ")
    )
