"""`responses-mw serve`: checks what can be checked, says what it serves, and serves it."""

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from threading import Thread
from typing import Any

import uvicorn

from responses_mw.cli.gathering import Protocol
from responses_mw.cli.serving import Serving, collect_seldom
from responses_mw.errors import ConfigurationError
from responses_mw.settings import Settings

_OPTIONS: dict[str, Any] = {
    "http": Protocol,
    "access_log": False,
    "log_level": "warning",
    "proxy_headers": False,  # standalone.py reads them, where there are any
    # Events are short, and squeezing each of an answer's takes a sixth of all it costs.
    "ws_per_message_deflate": False,
    # The application refuses long messages by itself, in words.
    "ws_max_size": 2 * Settings().max_body_bytes,
    # For connections that are left once the answers under way have ended.
    "timeout_graceful_shutdown": 5,
}


def serve(serving: Serving, *, host: str, port: int, workers: int) -> None:
    """Returns when the server was told to end. Raises ConfigurationError."""
    _check_exposure(host, serving.key)
    _check_workers(serving, workers)
    # Without a configuration of its own, what uvicorn says is written in our lines.
    options = _OPTIONS if serving.log is None else {**_OPTIONS, "log_config": None}
    with contextlib.closing(listen(host, port)) as listener:
        serving.write_log()
        serving.prepare()
        port = listener.getsockname()[1]
        _announce(serving, host, port)
        if workers == 1:
            server = uvicorn.Server(uvicorn.Config(serving.standalone(), **options))
            collect_seldom()
            server.run([listener])
            return
        # Workers inherit the socket, and of all else nothing but the environment.
        os.environ.update(serving.environment)
        application = "responses_mw.cli.serving:worker"
        uvicorn.run(application, factory=True, fd=listener.fileno(), workers=workers, **options)


def listen(host: str, port: int) -> socket.socket:
    """Listening: who connects before the server is up waits. Port 0 is any free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on: {error.strerror}; "
            "choose another --host or --port"
        ) from error
    return listener


@contextlib.contextmanager
def in_process(serving: Serving) -> Iterator[str]:
    """The URL of the same server in a thread of this process, on a free port of this machine."""
    serving.prepare()
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(serving.standalone(), **_OPTIONS))
        thread = Thread(target=server.run, args=([listener],), name="responses-mw-server")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _check_exposure(host: str, key: str | None) -> None:
    if key is None and not _is_loopback(host):
        raise ConfigurationError(
            f"without a key anybody who reaches {host} could read every conversation: "
            "set --api-key or RESPONSES_MW_MASTER_KEY, or keep to --host 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_workers(serving: Serving, workers: int) -> None:
    if workers > 1 and not serving.session_store().shared_between_processes:
        raise ConfigurationError(
            f"{workers} workers cannot share {serving.store}: each would know only its own "
            "conversations; use one worker, or a sqlite:/// or postgresql:// store"
        )


def _announce(serving: Serving, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    lines = (
        ("data", serving.data),
        ("models", ", ".join(serving.models)),
        ("key", "required" if serving.key else "none: only this machine may ask"),
        ("url", f"http://{shown}:{port}/v1"),
    )
    for label, value in lines:
        print(f"{label:<8}{value}")
    sys.stdout.flush()
