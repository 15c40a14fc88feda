"""Where an upstream is: the parts of its URL, and whether a proxy stands before it."""

import base64
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
    basic = base64.b64encode(unquote(user).encode()).decode()
    return parts._replace(netloc=host).geturl(), f"Basic {basic}"


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY, ...) or the system names for `url`."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or parts.hostname is None or urllib.request.proxy_bypass(parts.hostname):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
