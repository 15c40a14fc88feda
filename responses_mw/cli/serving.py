"""What `serve` and `chat` share: which store, models and key, and an application of them.

Everything is resolved and tried once, before a server starts, so that what is wrong is one line.
"""

import asyncio
import dataclasses
import gc
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from responses_mw import config, weights
from responses_mw.app import ResponsesApp
from responses_mw.cli.bar import Bar
from responses_mw.cli.standalone import Standalone
from responses_mw.errors import ConfigurationError
from responses_mw.local import LocalModel
from responses_mw.metrics import can_count
from responses_mw.router import Deployment, Routing
from responses_mw.settings import Settings
from responses_mw.telemetry.log import Format, write_log
from stores.base import SessionStore, StoreError
from stores.urls import open_store

STORE = "RESPONSES_MW_STORE"
MASTER_KEY = "RESPONSES_MW_MASTER_KEY"
LITELLMS_KEY = "LITELLM_MASTER_KEY"
"""Where its users keep the key of a file that names none."""
LOG = "RESPONSES_MW_LOG"
METRICS = "RESPONSES_MW_METRICS"
OTEL = "RESPONSES_MW_OTEL"
CONFIG = "RESPONSES_MW_CONFIG"
"""Set for worker processes, which inherit nothing but the environment."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Both the store's URL and the key may be secret."""

    models: dict[str, list[Deployment]]
    store: str = field(repr=False)
    key: str | None = field(default=None, repr=False)
    config_file: Path | None = None
    routing: Routing = field(default_factory=Routing)
    settings: Settings = field(default_factory=Settings)
    hooks: tuple[Any, ...] = ()
    callbacks: tuple[Any, ...] = ()
    log: Format | None = None

    @classmethod
    def resolve(
        cls,
        *,
        config_file: Path | None,
        store: str | None = None,
        key: str | None = None,
        log: str | None = None,
    ) -> "Serving":
        """Options first, then the environment, then the file, then what needs no configuration."""
        if config_file is None:
            loaded = config.Config(config.local_models())
        else:
            import_beside(config_file)
            loaded = config.load(config_file)
        key = key or os.environ.get(MASTER_KEY) or loaded.master_key
        if config_file is not None:
            key = key or os.environ.get(LITELLMS_KEY)
        return cls(
            models=loaded.models,
            store=config.store_url(loaded, store),
            key=key,
            config_file=config_file,
            routing=loaded.routing,
            settings=_measured(loaded.settings, key),
            hooks=loaded.hooks,
            callbacks=loaded.callbacks,
            log=_log_format(log or os.environ.get(LOG)),
        )

    @classmethod
    def from_environment(cls) -> "Serving":
        """In a worker, what `environment` said in its parent."""
        file = os.environ.get(CONFIG)
        return cls.resolve(config_file=None if file is None else Path(file))

    @property
    def environment(self) -> Mapping[str, str]:
        values = {STORE: self.store}
        if self.key is not None:
            values[MASTER_KEY] = self.key
        if self.config_file is not None:
            values[CONFIG] = str(self.config_file)
        if self.log is not None:
            values[LOG] = self.log
        return values

    @property
    def data(self) -> str:
        """Where the data lies, for people: without a password."""
        parts = urlsplit(self.store)
        if parts.password is None:
            return self.store
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))

    def prepare(self) -> None:
        """Brings the local model's weights and opens the store once. Raises ConfigurationError."""
        if _needs_weights(self.models):
            fetch_weights()
        try:
            asyncio.run(_open_once(self.session_store()))
        except StoreError as error:
            raise ConfigurationError(f"the store {self.data} cannot be opened: {error}") from error

    def session_store(self) -> SessionStore:
        try:
            return open_store(self.store)
        except (ValueError, ImportError) as error:
            raise ConfigurationError(f"the store {self.data} cannot be used: {error}") from error

    def write_log(self) -> None:
        """Without `log`, what goes wrong is said as Python does it where nobody asked for more."""
        if self.log is not None:
            write_log(self.log)

    def standalone(self) -> Standalone:
        app = ResponsesApp(
            store=self.session_store(),
            models=self.models,
            routing=self.routing,
            settings=self.settings,
            hooks=self.hooks,
            callbacks=self.callbacks,
        )
        return Standalone(app, key=self.key)


def worker() -> Standalone:
    """The factory that each worker process calls."""
    # What the file warns of was said by the parent.
    logging.getLogger(config.__name__).setLevel(logging.ERROR)
    serving = Serving.from_environment()
    serving.write_log()
    app = serving.standalone()
    collect_seldom()
    return app


def collect_seldom() -> None:
    """For a process that does nothing but serve, once it has loaded everything.

    Counting references frees nearly all that a request makes; the collector, which looks for cycles
    every 700 objects, would go through the histories of all running requests again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def import_beside(config_file: Path) -> None:
    """Python that the file names is found where one stands, as with `python -m`, and beside the
    file, behind all that is installed: nothing there stands in for another module."""
    sys.path.insert(0, os.getcwd())
    sys.path.append(str(config_file.absolute().parent))


def fetch_weights() -> Path:
    bar = Bar(f"Fetching {weights.SMOLLM2.name}")
    try:
        return weights.fetch(progress=bar)
    finally:
        bar.close()


async def _open_once(store: SessionStore) -> None:
    async with store:
        pass


def _log_format(named: str | None) -> Format | None:
    match named:
        case None | "":
            return None
        case "text" | "json":
            return named
        case other:
            raise ConfigurationError(
                f"{other!r} is no form of log: --log and {LOG} may be text or json"
            )


def _measured(settings: Settings, key: str | None) -> Settings:
    """`/metrics` is there where its extra is installed or the file asks for it, and wants the
    server's own key. Tracing is asked for: it takes an SDK that somebody set up."""
    if os.environ.get(OTEL, "0") not in ("", "0"):
        settings = dataclasses.replace(settings, otel=True)
    match os.environ.get(METRICS) or ("key" if settings.metrics or can_count() else "off"):
        case "off":
            return dataclasses.replace(settings, metrics=False)
        case "key":
            return dataclasses.replace(settings, metrics=True, metrics_key=key)
        case "open":
            return dataclasses.replace(settings, metrics=True, metrics_key=None)
        case other:
            raise ConfigurationError(f"{METRICS} is {other!r}; it may be key, open or off")


def _needs_weights(models: Mapping[str, list[Deployment]]) -> bool:
    providers = [entry.provider for deployments in models.values() for entry in deployments]
    return any(isinstance(found, LocalModel) and found.needs_weights for found in providers)
