"""What a configuration file says of routing: a deployment's share and limits, the rules for all.

LiteLLM's keys become `Routing` and fields of `Deployment` here; what they do stands in `routing`.
"""

from collections.abc import Sequence
from typing import Any, get_args
from urllib.parse import quote

from responses_mw.config_table import Table
from responses_mw.errors import ConfigurationError
from responses_mw.fees import SEARCH_SIZES
from responses_mw.routing.options import CONTINUITY, Routing
from responses_mw.schema import Effort, Summary

PRICES = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
    "output_cost_per_reasoning_token",
    "input_cost_per_request",
    "code_interpreter_cost_per_session",
    "file_search_cost_per_1k_calls",
    "output_cost_per_image",
)
_NUMBERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_LENGTHS = ("max_output_tokens", "max_completion_tokens", "max_tokens")
"""All mean the same here; the first goes first."""
_SEARCH = "search_context_cost_per_query"
_WITHOUT_EFFECT_HERE = (
    "forward_client_headers_by_model_group",
    "prompt_caching",
    "router_budget_limiting",
)
_STRATEGIES = {"usage-based-routing-v2": "usage-based-routing"}


def deployment_fields(params: Table, entry: Table, info: Table) -> dict[str, Any]:
    """Fields of a Deployment; what is not there is left out."""
    limit = info.integer("max_input_tokens")
    found: dict[str, Any] = {
        "max_input_tokens": params.integer("max_input_tokens") if limit is None else limit,
        "weight": params.number("weight"),
        "rpm": _limit("rpm", params, entry, info),
        "tpm": _limit("tpm", params, entry, info),
        "order": params.integer("order"),
        "max_retries": _either(params.integer("max_retries"), params.integer("num_retries")),
        "first_delta_s": _either(
            params.number("first_delta_timeout"), params.number("stream_timeout")
        ),
        "idle_s": params.number("idle_timeout"),
        "base_model": _either(info.text("base_model"), params.text("base_model")),
    }
    prices = {name: _either(params.number(name), info.number(name)) for name in PRICES}
    prices |= _search_prices(info) | _search_prices(params)
    known = {name: price for name, price in prices.items() if price is not None}
    if known:
        found["prices"] = known
    found["defaults"] = _defaults(params) or None
    return {name: value for name, value in found.items() if value is not None}


def routing(router: Table, litellm: Table) -> Routing:
    """Most keys may stand in either table; the router's own goes first."""
    strategy = router.text("routing_strategy")
    args = router.table("routing_strategy_args")
    aliases, hidden = _aliases(router.table("model_group_alias"))
    found: dict[str, Any] = {
        "strategy": _STRATEGIES.get(strategy or "", strategy),
        "latency_buffer": args.number("lowest_latency_buffer"),
        "retries": _first(router, litellm, "num_retries", Table.integer),
        "least_wait_s": router.number("retry_after"),
        "timeout_s": _either(router.number("timeout"), litellm.number("request_timeout")),
        "first_delta_s": _either(router.number("ttft_timeout"), router.number("stream_timeout")),
        "idle_s": router.number("stream_idle_timeout"),
        "allowed_fails": _first(router, litellm, "allowed_fails", Table.integer),
        "cooldown_s": _first(router, litellm, "cooldown_time", Table.number),
        "cooldowns": None if not router.flag("disable_cooldowns") else False,
        "check_input_length": router.flag("enable_pre_call_checks"),
        "default_fallbacks": _first(router, litellm, "default_fallbacks", Table.texts),
        "max_fallbacks": router.integer("max_fallbacks"),
        "aliases": aliases,
        "hidden": hidden,
        "affinity_ttl_s": router.number("deployment_affinity_ttl_seconds"),
        "redis_url": _redis(router),
        "checks": _checks(router),
    }
    for kind in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        own, general = _fallbacks(router, kind), _fallbacks(litellm, kind)
        found[kind] = own or general
    args.finish()
    try:
        return Routing(**{name: value for name, value in found.items() if value is not None})
    except ConfigurationError as error:
        raise ConfigurationError(f"{router.path}: {error.message}") from error


def _defaults(params: Table) -> dict[str, Any]:
    """What holds where a client says nothing, as options of a Turn."""
    both = params.is_table("reasoning_effort")
    reasoning = params.table("reasoning_effort" if both else "reasoning")
    effort = None if both else params.one_of("reasoning_effort", get_args(Effort))
    lengths = [params.integer(key) for key in _LENGTHS]
    found: dict[str, Any] = {key: params.number(key) for key in _NUMBERS}
    found |= {
        "max_output_tokens": next((length for length in lengths if length is not None), None),
        "reasoning_effort": _either(reasoning.one_of("effort", get_args(Effort)), effort),
        "reasoning_summary": reasoning.one_of("summary", get_args(Summary)),
        "verbosity": params.text("verbosity"),
        "service_tier": params.text("service_tier"),
    }
    reasoning.finish()
    return {name: value for name, value in found.items() if value is not None}


def _limit(key: str, *tables: Table) -> int | None:
    """Of the first that has it; all are read."""
    found = [table.integer(key) for table in tables]
    return next((limit for limit in found if limit is not None), None)


def _search_prices(table: Table) -> dict[str, float | None]:
    """One price, or one for each size of a search."""
    if not table.is_table(_SEARCH):
        price = table.number(_SEARCH)
        return {} if price is None else {_SEARCH: price}
    sizes = table.table(_SEARCH)
    found = {size: sizes.number(size) for size in SEARCH_SIZES}
    sizes.finish()
    return found


def _either(first: Any, second: Any) -> Any:
    return second if first is None else first


def _first(router: Table, litellm: Table, key: str, read: Any) -> Any:
    """Both are read, so that neither is taken for a key nobody knows."""
    own, general = read(router, key), read(litellm, key)
    return _either(own, general)


def _fallbacks(table: Table, key: str) -> dict[str, Sequence[str]]:
    """A list of `{model: [other, ...]}`."""
    found: dict[str, Sequence[str]] = {}
    for entry in table.tables(key):
        for model in entry.keys:
            found[model] = entry.texts(model) or ()
    return found


def _aliases(table: Table) -> tuple[dict[str, str], frozenset[str]]:
    """`{alias: model}`, or `{alias: {model: ..., hidden: true}}`."""
    aliases: dict[str, str] = {}
    hidden: set[str] = set()
    for alias in table.keys:
        if table.is_table(alias):
            entry = table.table(alias)
            aliases[alias] = entry.required_text("model")
            if entry.flag("hidden"):
                hidden.add(alias)
            entry.finish()
        else:
            aliases[alias] = table.required_text(alias)
    return aliases, frozenset(hidden)


def _checks(router: Table) -> tuple[str, ...] | None:
    """Those named come to what is always done: a chain goes on where it was."""
    named = router.texts("optional_pre_call_checks")
    if named is None:
        return None
    path = f"{router.path}.optional_pre_call_checks"
    for name in _WITHOUT_EFFECT_HERE:
        if name in named:
            router.warn(f"{path}: {name!r} has no effect here")
    wanted = [name for name in named if name not in _WITHOUT_EFFECT_HERE]
    return tuple(dict.fromkeys([*CONTINUITY, *wanted]))


def _redis(router: Table) -> str | None:
    url, host = router.text("redis_url"), router.text("redis_host")
    port, password = router.integer("redis_port"), router.text("redis_password")
    database = router.integer("redis_db")
    if url is not None or host is None:
        return url
    secret = "" if password is None else f":{quote(password, safe='')}@"
    return f"redis://{secret}{host}:{port or 6379}/{database or 0}"
