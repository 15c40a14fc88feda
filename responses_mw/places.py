"""Where an upstream is and what proves who asks: what any deployment over HTTP is made of.

Nothing about a vendor stands here.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from responses_mw.adapters.base import Adapter
from responses_mw.config_table import Table
from responses_mw.errors import ConfigurationError
from responses_mw.transport import Auth


@dataclass(frozen=True, slots=True)
class Place:
    """Credentials are in `headers`, or `auth` makes them."""

    base_url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    auth: Auth | None = None
    api_version: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What answers for one entry of a configuration; `name` is the upstream's own for the model.

    Where Responses is spoken, another adapter takes the place of this one. `claude` is how Claude
    is asked where the name is a wildcard that may mean it.
    """

    adapter: Adapter
    place: Place
    name: str
    claude: "Served | None" = None


def address(params: Table, *keys: str) -> str | None:
    """The first of the keys that is there. Raises ConfigurationError if it is no address."""
    for key in keys or ("api_base", "base_url"):
        given = params.text(key)
        if given is None:
            continue
        check_address(given, f"{params.path}.{key}")
        return given
    return None


def check_address(given: str, path: str) -> None:
    try:
        parts = urlsplit(given)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if not known:
        # The value is not repeated: keys get into the wrong line.
        raise ConfigurationError(f"{path} is not an http:// or https:// address")
