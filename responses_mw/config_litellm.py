"""What LiteLLM's files may say in a place of its own: the environment, credentials by name, models
that answer with something else than text, and a database's address for another driver.

Each becomes what the rest of a file would say, or a warning.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from responses_mw.config_table import Table
from responses_mw.errors import ConfigurationError

_OTHER_MODES = frozenset({
    "audio_speech", "audio_transcription", "embedding", "image_edit", "image_generation",
    "moderation", "ocr", "realtime", "rerank", "search", "vector_store", "video_generation",
})  # fmt: skip

_PRISMAS = frozenset({
    "connect_timeout", "connection_limit", "max_connection_lifetime", "pgbouncer", "pool_timeout",
    "schema", "socket_timeout", "sslaccept", "statement_cache_size",
})  # fmt: skip
"""Parameters of an address that Postgres itself would refuse."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What entries have without saying it themselves."""

    credentials: Mapping[str, Table]
    defaults: Table

    def completing(self, params: Table) -> Table:
        """What the entry says itself goes first, then the credential that it names."""
        name = params.text("litellm_credential_name")
        if name is not None and name not in self.credentials:
            raise ConfigurationError(
                f"{params.path}.litellm_credential_name is {name!r}, "
                "which is not in credential_list"
            )
        if name is not None:
            params = params.over(self.credentials[name])
        return params.over(self.defaults)


def set_environment(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """What else the file says. This process, and those that it starts, have its variables."""
    variables = Table(content, "", []).mapping("environment_variables")
    said = {str(name): str(value) for name, value in variables.items() if value is not None}
    os.environ.update(said)
    return {key: value for key, value in content.items() if key != "environment_variables"}


def refuse_guardrails(content: Mapping[str, Any]) -> None:
    """Those that LiteLLM would run unasked: a warning is too little for who counts on them."""
    for path, entry in _guardrails(content):
        match entry:
            case {"litellm_params": {"default_on": True}} | {"default_on": True}:
                raise _not_run(f"{path} is default_on")
    for path, entry in _listed(content, "model_list"):
        match entry:
            case {"litellm_params": {"guardrails": [_, *_]}}:
                raise _not_run(f"{path}.litellm_params.guardrails are of every request")


def _guardrails(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each with its path. Those of `litellm_settings` stand under their names."""
    yield from _listed(content, "guardrails")
    yield from _listed(content, "router_settings", "guardrail_list")
    for path, entry in _listed(content, "litellm_settings", "guardrails"):
        named = entry if isinstance(entry, Mapping) else {}
        yield from ((f"{path}.{name}", each) for name, each in named.items())


def _listed(content: Any, *keys: str) -> Iterator[tuple[str, Any]]:
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    for n, entry in enumerate(content if isinstance(content, list) else ()):
        yield f"{'.'.join(keys)}[{n}]", entry


def _not_run(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what}, but LiteLLM's guardrails do not run here: write it as a hook "
        "(general_settings.hooks, docs/hooks.md), or take it out"
    )


def shared(top: Table, router: Table) -> Shared:
    return Shared(_credentials(top), router.table("default_litellm_params"))


def _credentials(top: Table) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for entry in top.tables("credential_list"):
        found[entry.required_text("credential_name")] = entry.table("credential_values")
        entry.mapping("credential_info")  # what people are told of it
        entry.finish()
    return found


def of_text(entries: Iterable[Table]) -> list[Table]:
    """Those whose `mode` is not of models that answer with something else."""
    found = []
    for entry in entries:
        mode = entry.table("model_info").text("mode")
        if mode in _OTHER_MODES:
            entry.warn(f"{entry.path} is left out: its mode {mode!r} is not served here")
        else:
            found.append(entry)
    return found


def database_url(general: Table) -> str | None:
    url = general.text("database_url")
    if url is None or not url.startswith(("postgresql://", "postgres://")):
        return url
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    prismas = [name for name, _ in query if name in _PRISMAS]
    if not prismas:
        return url
    general.warn(f"{general.path}.database_url: {', '.join(prismas)} have no effect here")
    rest = [(name, value) for name, value in query if name not in _PRISMAS]
    return urlunsplit(parts._replace(query=urlencode(rest)))
