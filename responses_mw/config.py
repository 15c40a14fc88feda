"""Reads a configuration file in LiteLLM's shape: which models there are, and who answers for them.

What the file means is decided here; which vendors exist is data in `upstreams.py`. A key that is
nearly one we know is taken for a typo and stops the start; any other that is not read is warned of
by its path. No message holds a value that may be a secret.
"""

import dataclasses
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from responses_mw import config_file, config_known, config_litellm, config_python, config_routing
from responses_mw.adapters.base import Adapter
from responses_mw.azure_upstreams import azure, azure_ai
from responses_mw.by_model import ByModel
from responses_mw.cloud_upstreams import bedrock, bedrock_mantle, vertex_ai
from responses_mw.config_litellm import Shared
from responses_mw.config_table import Table, unset_variables
from responses_mw.errors import ConfigurationError, InvalidRequest
from responses_mw.key_making import duration
from responses_mw.local import LocalModel
from responses_mw.places import Place, Served, address, check_address
from responses_mw.responses_upstreams import organisation, responses_adapter, spoken
from responses_mw.router import Deployment, Routing
from responses_mw.routing.directory import Directory
from responses_mw.settings import Settings
from responses_mw.transport import HTTPProvider, Timeouts
from responses_mw.upstreams import COMPATIBLE_CHAT, OPENAI_CHAT, UPSTREAMS, Upstream

logger = logging.getLogger(__name__)

CLOUDS = ("azure", "azure_ai", "bedrock", "bedrock_mantle", "vertex_ai")
"""Providers whose address, credentials or format depend on more than a key."""

BARE_NAMES = {
    ("gpt-", "chatgpt-", "o1", "o3", "o4"): "openai",
    ("claude-",): "anthropic",
}
"""Which provider is meant by a model without one, by how the model's name begins."""

SYNONYMS = {"cohere_chat": "cohere", "ollama_chat": "ollama", "vertex_ai_beta": "vertex_ai"}


@dataclass(frozen=True, slots=True)
class Config:
    """`warnings` are logged, too: one line per key that has no effect here. `hooks` and `callbacks`
    are those of a ResponsesApp."""

    models: dict[str, list[Deployment]]
    store_url: str | None = field(default=None, repr=False)
    master_key: str | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    routing: Routing = field(default_factory=Routing)
    settings: Settings = field(default_factory=Settings)
    hooks: tuple[Any, ...] = ()
    callbacks: tuple[Any, ...] = ()


def load(source: str | os.PathLike[str] | Mapping[str, Any]) -> Config:
    """From a YAML (or JSON) file, or from what such a file says. Raises ConfigurationError."""
    if not isinstance(source, Mapping):
        source = config_file.read(Path(source))
    warnings: list[str] = []
    source = config_litellm.set_environment(source)
    config_litellm.refuse_guardrails(source)
    top = Table(source, "", warnings, unset_variables(source))
    entries, general = top.tables("model_list"), top.table("general_settings")
    router, litellm = top.table("router_settings"), top.table("litellm_settings")
    shared = config_litellm.shared(top, router)
    top.finish(elsewhere=config_known.TOP)
    models = _models(config_litellm.of_text(entries), shared)
    routing = config_routing.routing(router, litellm)
    store_url, master_key = config_litellm.database_url(general), general.text("master_key")
    hooks = config_python.turn_hooks(general)
    callbacks, wanted = config_python.watching(litellm)
    settings = _settings(general, litellm, wanted, metrics_key=master_key)
    general.finish(elsewhere=config_known.GENERAL)
    router.finish(elsewhere=config_known.ROUTER)
    litellm.finish(elsewhere=config_known.LITELLM)
    Directory(models, routing)  # aliases and fallbacks that lead nowhere stop the start
    for warning in warnings:
        logger.warning("%s", warning)
    return Config(
        models, store_url, master_key, tuple(warnings), routing, settings, hooks, callbacks
    )


def _settings(
    general: Table, litellm: Table, wanted: Collection[str], *, metrics_key: str | None
) -> Settings:
    """`drop_params: false` is LiteLLM's way to say that nothing may be left out."""
    ttl = general.text("responses_ttl")
    return Settings(
        ttl_s=None if ttl is None else _duration(ttl, f"{general.path}.responses_ttl"),
        cost_in_usage=any(
            [general.flag("cost_in_usage"), litellm.flag("include_cost_in_streaming_usage")]
        ),
        strict=litellm.flag("drop_params") is False,
        log_content=general.flag("store_prompts_in_spend_logs") or False,
        metrics=config_python.COUNTED in wanted,
        metrics_key=metrics_key,
        otel=config_python.TRACED in wanted,
    )


def _duration(text: str, path: str) -> int:
    try:
        return duration(path, text)
    except InvalidRequest as error:
        raise ConfigurationError(error.message) from None


def local_models() -> dict[str, list[Deployment]]:
    """What is served without any configuration."""
    return {"local": [Deployment(LocalModel())]}


def store_url(config: Config | Path | None = None, option: str | None = None) -> str:
    """The option, else RESPONSES_MW_STORE, else the file's database_url, else SQLite where XDG says
    that a user's data lies; that folder is made. Of a path nothing else is read: whoever sums up
    usage needs no key of a model."""
    named = option or os.environ.get("RESPONSES_MW_STORE")
    if not named and config is not None:
        named = config.store_url if isinstance(config, Config) else _database_url(config)
    if named:
        return named
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    folder = (base if base.is_absolute() else Path.home() / ".local" / "share") / "responses-mw"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made: {error.strerror}; name a store with --store"
        ) from error
    return f"sqlite:///{folder}/responses.db"


def _database_url(path: Path) -> str | None:
    top = Table(config_litellm.set_environment(config_file.read(path)), "", [])
    return config_litellm.database_url(top.table("general_settings"))


def _models(entries: list[Table], shared: Shared) -> dict[str, list[Deployment]]:
    models: dict[str, list[Deployment]] = {}
    local: list[LocalModel] = []
    for entry in entries:
        name = entry.required_text("model_name")
        deployment = _deployment(entry, shared, local)
        if "*" in (deployment.model or "") and "*" not in name:
            raise ConfigurationError(
                f"{entry.path}: the model's `*` stands for the model_name's, which has none"
            )
        models.setdefault(name, []).append(deployment)
        entry.finish(elsewhere=config_known.ENTRY)
    if not models:
        raise ConfigurationError("model_list is empty or missing: name at least one model")
    return models


def _deployment(entry: Table, shared: Shared, local: list[LocalModel]) -> Deployment:
    """`local` is the one local model of this configuration, once something named it."""
    info = entry.table("model_info")
    id, base_model = info.name("id"), info.text("base_model")
    params = entry.required_table("params" if entry.has("params") else "litellm_params")
    params = shared.completing(params)
    routed = config_routing.deployment_fields(params, entry, info)
    info.finish(elsewhere=config_known.MODEL_INFO)
    prefix, name = _split(params.required_text("model"), params.path)
    match prefix:
        case "local":
            local[:] = local or [LocalModel()]
            deployment = Deployment(local[0], id=id)
        case "python":
            provider = config_python.provider(name, f"{params.path}.model")
            deployment = Deployment(provider, id=id)
        case _:
            provider, name = _over_http(prefix, name, params, base_model)
            deployment = Deployment(provider, model=name, id=id)
    params.finish(elsewhere=config_known.PARAMS)
    return dataclasses.replace(deployment, **routed)


def _split(model: str, path: str) -> tuple[str, str]:
    """("provider", "name"), both not empty but for the local model."""
    if model == "local":
        return "local", ""
    prefix, slash, name = model.partition("/")
    if slash and prefix and name:
        return SYNONYMS.get(prefix, prefix), name
    for beginnings, provider in BARE_NAMES.items():
        if not slash and model.startswith(beginnings):
            return provider, model
    raise ConfigurationError(
        f"{path}.model is {model!r}; `provider/name` is needed, with one of {_providers()}"
    )


def _providers() -> str:
    return ", ".join(sorted({"local", "openai", "python", *CLOUDS, *UPSTREAMS}))


# --- upstreams over HTTP


def _over_http(
    prefix: str, name: str, params: Table, base_model: str | None
) -> tuple[HTTPProvider | ByModel, str]:
    """The provider, and its own name for the model."""
    responses, name = spoken(prefix, name, params)
    served = _served(prefix, name, params, base_model, responses=responses)
    extra = params.table("extra_headers")
    for place in (served.place, served.claude.place if served.claude else served.place):
        place.headers.update({name.lower(): extra.required_text(name) for name in extra.keys})
    adapter = responses_adapter(prefix, served.place, params) if responses else served.adapter
    provider = _at(served.place, adapter, prefix, params)
    if served.claude is None:
        return provider, served.name
    claude = _at(served.claude.place, served.claude.adapter, prefix, params)
    return ByModel(provider, claude=claude), served.name


def _at(place: Place, adapter: Adapter, prefix: str, params: Table) -> HTTPProvider:
    timeout = params.number("timeout")
    provider = HTTPProvider(
        adapter,
        base_url=place.base_url,
        headers=place.headers,
        auth=place.auth,
        timeouts=None if timeout is None else Timeouts(read=timeout),
        name=prefix,
    )
    provider.extra_body = params.mapping("extra_body")
    return provider


def _served(
    prefix: str, name: str, params: Table, base_model: str | None, *, responses: bool
) -> Served:
    match prefix:
        case "azure":
            return azure(name, params, responses=responses)
        case "azure_ai":
            return azure_ai(name, params, responses=responses)
        case "bedrock":
            return bedrock(name, params, base_model)
        case "bedrock_mantle":
            return bedrock_mantle(name, params, responses=responses)
        case "vertex_ai":
            return vertex_ai(name, params)
        case _:
            return _by_key(prefix, name, params)


def _by_key(prefix: str, name: str, params: Table) -> Served:
    """Whoever has one address and one key is a line of UPSTREAMS."""
    base_url, key = address(params), params.text("api_key")
    if base_url is None:
        base_url, beside = _from_environment(prefix)
        key = key or beside
    upstream = _upstream(prefix, base_url, params.path)
    base_url = _address(base_url, upstream, prefix, params.path)
    key = key or _key_from_environment(base_url, upstream, params.path)
    headers = upstream.headers(key)
    if prefix == "openai":
        headers.update(organisation(params))
    return Served(upstream.adapter(), Place(base_url, headers), name)


def _from_environment(prefix: str) -> tuple[str | None, str | None]:
    """`GROQ_API_BASE` and the like, and the key beside it: whoever set both means them to meet."""
    variable = f"{prefix.upper()}_API_BASE"
    found = os.environ.get(variable)
    if not found or (prefix != "openai" and prefix not in UPSTREAMS):
        return None, None
    check_address(found, variable)
    upstream = OPENAI_CHAT if prefix == "openai" else UPSTREAMS[prefix]
    return found, os.environ.get(upstream.key_variable or "")


def _upstream(prefix: str, base_url: str | None, path: str) -> Upstream:
    if prefix == "openai":
        # Its key goes to its own host only; another one may be given none.
        return OPENAI_CHAT if base_url is None else COMPATIBLE_CHAT
    try:
        return UPSTREAMS[prefix]
    except KeyError:
        raise ConfigurationError(
            f"{path}.model: the provider {prefix!r} is unknown; known are {_providers()}"
        ) from None


def _address(base_url: str | None, upstream: Upstream, prefix: str, path: str) -> str:
    if base_url is None:
        if upstream.base_url is None:
            raise ConfigurationError(
                f"{path}.api_base is missing: {prefix}/ has no address of its own"
            )
        return upstream.base_url
    if urlsplit(base_url).path in ("", "/"):
        return base_url.rstrip("/") + upstream.path
    return base_url.rstrip("/").removesuffix(upstream.own_path)


def _key_from_environment(base_url: str, upstream: Upstream, path: str) -> str | None:
    """A vendor's key goes to the vendor's own host only, unless the file says otherwise."""
    variable = upstream.key_variable
    own = (
        upstream.base_url is None or urlsplit(base_url).netloc == urlsplit(upstream.base_url).netloc
    )
    if variable is None or not own:
        return None
    key = os.environ.get(variable)
    if not key and upstream.base_url is not None:
        raise ConfigurationError(
            f"{path}.api_key is missing: set it, or the environment variable {variable}"
        )
    return key or None
