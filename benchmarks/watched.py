"""The server with every kind of telemetry built in, and a switch for each: CONFIG STORE.

`POST /watch?log,prometheus` works through what is put by, then turns on what it names and the rest
off. One process with a switch, and not one for each: between two processes of the same program lies
more than what telemetry costs.
"""

import contextlib
import inspect
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import uvicorn
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from starlette.types import Receive, Scope, Send

from responses_mw.app import ResponsesApp
from responses_mw.batch import drain_all
from responses_mw.cli.serving import Serving, collect_seldom
from responses_mw.cli.standalone import Standalone
from responses_mw.records import Observer
from responses_mw.telemetry.log import TurnLines
from responses_mw.telemetry.otel import OpenTelemetry
from responses_mw.telemetry.prometheus import Prometheus
from responses_mw.telemetry.timed_store import TimedStore


class Discarding(SpanExporter):
    """What is measured is not some collector's wire format."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def _tracing(rate: float, *, measured: bool) -> OpenTelemetry:
    tracers = TracerProvider(sampler=ParentBased(TraceIdRatioBased(rate)))
    tracers.add_span_processor(BatchSpanProcessor(Discarding()))
    meters = MeterProvider([InMemoryMetricReader()]) if measured else NoOpMeterProvider()
    return OpenTelemetry(tracer_provider=tracers, meter_provider=meters)


class Switch:
    """What an application's observers are, changed while nothing is generated: it asks them itself,
    as it would without a switch."""

    def __init__(self, app: ResponsesApp, store: TimedStore, prometheus: Prometheus) -> None:
        self._app, self._store = app, store
        self._always = [each for each in app._watch.all if not isinstance(each, TurnLines)]
        self._prometheus = prometheus
        self._known: dict[str, Observer] = {
            "log": TurnLines(),
            "prometheus": self._prometheus,
            "traces": _tracing(0.01, measured=False),
            "traces+metrics": _tracing(0.01, measured=True),
            "every trace": _tracing(1, measured=False),
        }

    def turn(self, names: Sequence[str]) -> None:
        drain_all()
        watching = [self._known[name] for name in names]
        self._app._watch.set([*self._always, *watching])
        self._time_calls(self._prometheus in watching)

    def _time_calls(self, on: bool) -> None:
        """Off, the store's methods are called themselves, as where nobody counts."""
        bare = self._store._store
        for name, _ in inspect.getmembers(type(bare), inspect.iscoroutinefunction):
            if on:
                vars(self._store).pop(name, None)  # the next call finds it, and times it
            elif not name.startswith("_"):
                setattr(self._store, name, getattr(bare, name))


class Watched:
    """ASGI: the switch before the server."""

    def __init__(self, served: Standalone, switch: Switch) -> None:
        self._served = served
        self._switch = switch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/watch":
            await self._served(scope, receive, send)
            return
        names = scope["query_string"].decode().replace("%20", " ")
        self._switch.turn([name for name in names.split(",") if name])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def main(config: str, store: str) -> None:
    serving = Serving.resolve(config_file=Path(config), store=store, log="json")
    serving.write_log()
    prometheus = Prometheus()
    timed = TimedStore(serving.session_store(), prometheus.observed)
    app = ResponsesApp(store=timed.as_store(), models=serving.models)
    switch = Switch(app, timed, prometheus)
    switch.turn(())
    watched = Watched(Standalone(app, key=None), switch)
    collect_seldom()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
        options: Any = {"log_level": "error", "lifespan": "on", "access_log": False}
        server = uvicorn.Server(uvicorn.Config(cast(Any, watched), **options))
        server.run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
