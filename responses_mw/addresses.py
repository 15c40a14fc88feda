"""Where an upstream is: the parts of its URL, and whether a proxy stands before it."""

import base64
import contextlib
import urllib.request
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httpx


class Address(NamedTuple):
    """`url` is what `netloc` (the Host header) and `target` were taken from."""

    url: str
    netloc: str
    target: str


def address_of(url: str) -> Address:
    """Quoted as a proxy's client will quote it. Raises ValueError and httpx.InvalidURL."""
    from yarl import URL

    found = httpx.URL(str(URL(url)))
    return Address(str(found), found.netloc.decode(), found.raw_path.decode())


def without_credentials(url: str) -> tuple[str, str | None]:
    """The URL, and what an Authorization header says for the user and password in it."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, password = user.partition(":")
    basic = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return parts._replace(netloc=host).geturl(), f"Basic {basic}"


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY, ...) or the system names for `url`.
    Raises ValueError for what is no HTTP proxy."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or parts.hostname is None:
        return None
    netloc = parts.netloc.rpartition("@")[2]
    if parts.port is None:
        netloc += ":443" if parts.scheme == "https" else ":80"
    # An IPv6 address is excepted with or without its brackets.
    if any(map(urllib.request.proxy_bypass, (parts.hostname, netloc))):
        return None
    return _checked(proxy if "://" in proxy else f"http://{proxy}")


def _checked(proxy: str) -> str:
    """Its password is in no message."""
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"the environment names a {parts.scheme} proxy; use one that speaks HTTP")
    with contextlib.suppress(ValueError):
        if parts.port != 0 and parts.hostname:
            return proxy
    raise ValueError("the environment names a proxy that has no host or port; use http://HOST:PORT")
