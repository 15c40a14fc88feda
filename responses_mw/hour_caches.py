"""What was written to a cache for an hour: some upstreams tell it apart, and ask more for it."""

import dataclasses
from dataclasses import dataclass

from responses_mw.deltas import UsageReported


@dataclass(frozen=True, slots=True)
class HourCached(UsageReported):
    """`cache_write_1h_tokens` are part of `cache_write_tokens`."""

    cache_write_1h_tokens: int = 0


def with_hours(usage: UsageReported, tokens: object) -> UsageReported:
    """`tokens` as an upstream reported them, which may be anything."""
    if type(tokens) is not int or not usage.countable:
        return usage
    if not 0 < tokens <= usage.cache_write_tokens:
        return usage
    known = {field.name: getattr(usage, field.name) for field in dataclasses.fields(UsageReported)}
    return HourCached(**known, cache_write_1h_tokens=tokens)


def hours_of(usage: UsageReported) -> int:
    return usage.cache_write_1h_tokens if isinstance(usage, HourCached) else 0


def added(one: UsageReported, two: UsageReported) -> UsageReported:
    """What two requests for one answer used. What it cost is told later, of the sum."""
    summed = UsageReported(
        input_tokens=one.input_tokens + two.input_tokens,
        output_tokens=one.output_tokens + two.output_tokens,
        cached_tokens=one.cached_tokens + two.cached_tokens,
        cache_write_tokens=one.cache_write_tokens + two.cache_write_tokens,
        reasoning_tokens=one.reasoning_tokens + two.reasoning_tokens,
    )
    return with_hours(summed, hours_of(one) + hours_of(two))
