"""Everything that a measurement needs at once: the load, the upstream, and servers as asked for."""

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import orjson

from benchmarks.cases import Serving, configuration
from benchmarks.databases import database
from benchmarks.measure import Bench, Stored
from benchmarks.processes import ROOT, Server, client, python, server
from benchmarks.wire import Shape


class Servers:
    """Of one checkout on one database each; a server is started when it is first asked for.

    `before` stands before the server's own command: a profiler.
    """

    def __init__(
        self,
        running: contextlib.ExitStack,
        upstream: Server,
        *,
        store: str = "sqlite",
        tree: Path = ROOT,
        before: Sequence[str | Path] = (),
        shapes: Sequence[Shape] = (),
    ) -> None:
        self._running = running
        self._upstream = upstream
        self._store = store
        self._tree = tree
        self._before = before
        self._shapes = shapes
        self._started: dict[Serving, Stored] = {}

    def get(self, serving: Serving) -> Stored | None:
        """None: processes cannot share a store in memory."""
        if serving == "workers" and self._store == "memory":
            return None
        if serving not in self._started:
            self._started[serving] = self._running.enter_context(self._start(serving))
        return self._started[serving]

    @contextlib.contextmanager
    def _start(self, serving: Serving) -> Iterator[Stored]:
        if serving == "through":
            with server(python("benchmarks.passthrough", self._upstream.address)) as through:
                yield Stored(through, lambda: 0)
            return
        if serving == "litellm":
            with _litellm(self._upstream.address) as proxy:
                yield Stored(proxy, lambda: 0)
            return
        with (
            tempfile.TemporaryDirectory(prefix="responses-mw-bench-") as folder,
            database(self._store) as (url, size),
            serve(
                self._upstream.address,
                url,
                config=Path(folder, "config.yaml"),
                serving=serving,
                tree=self._tree,
                before=self._before,
                shapes=self._shapes,
            ) as served,
        ):
            yield Stored(served, size)


@contextlib.contextmanager
def serve(
    upstream: str,
    url: str,
    *,
    config: Path,
    serving: Serving = "warm",
    tree: Path = ROOT,
    before: Sequence[str | Path] = (),
    shapes: Sequence[Shape] = (),
) -> Iterator[Server]:
    """The server on the database at `url`, told of `upstream` in the file `config`."""
    config.write_bytes(orjson.dumps(configuration(upstream, shapes)))  # JSON is YAML, too
    python = before or (sys.executable,)
    # uvicorn dies of the SIGTERM that ended it, before a profiler could write.
    end = signal.SIGINT if before else signal.SIGTERM
    if serving == "cold":
        command = [*python, "-P", ROOT / "benchmarks" / "cold.py", config, url]
    else:
        program = Path(sys.executable).with_name("responses-mw")
        command = [*python, program, "serve", "--config", config, "--store", url, "--port", "0"]
        if serving == "workers":
            command += ["--workers", "2"]
    with server(command, tree=tree, end=end) as served:
        yield served


@contextlib.contextmanager
def _litellm(upstream: str) -> Iterator[Server]:
    """Its proxy with the same models, without a database."""
    program = os.environ.get("LITELLM") or shutil.which("litellm")
    if program is None:
        sys.exit(
            "LiteLLM is not installed: `pip install 'litellm[proxy]'` in an environment of its "
            "own, and name its program with LITELLM=.../bin/litellm"
        )
    with (
        tempfile.TemporaryDirectory(prefix="responses-mw-bench-") as folder,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        port = taken.getsockname()[1]
        taken.close()
        config = Path(folder, "config.yaml")
        chat = [
            entry
            for entry in configuration(upstream)["model_list"]
            if "use_chat_completions_api" in entry["litellm_params"]
        ]
        config.write_bytes(orjson.dumps({"model_list": chat}))
        unlocked = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true"
        command = ["/usr/bin/env", unlocked, program, "--config", config]
        with server([*command, "--host", "127.0.0.1", "--port", str(port)], port=port) as proxy:
            yield proxy


@contextlib.contextmanager
def bench(
    store: str,
    *,
    before: Sequence[str | Path] = (),
    against: Path | None = None,
    shapes: Sequence[Shape] = (),
) -> Iterator[Bench]:
    """`against` is another checkout, which is not profiled."""
    with contextlib.ExitStack() as running:
        load = running.enter_context(client())
        upstream = running.enter_context(server(python("benchmarks.upstream")))
        ours = Servers(running, upstream, store=store, before=before, shapes=shapes)
        other: Callable[[Serving], Stored | None] | None = None
        if against is not None:
            other = Servers(running, upstream, store=store, tree=against, shapes=shapes).get
        yield Bench(load, ours.get, other)
