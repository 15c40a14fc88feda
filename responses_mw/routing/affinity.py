"""Which deployment a turn would rather go to: the one that answered before, or that can read what
only it wrote.

Preferences only; nothing is refused for their sake.
"""

import hashlib
from collections.abc import Callable, Sequence

from responses_mw.records import TurnRecord
from responses_mw.routing.deployments import HasScope
from responses_mw.routing.options import Routing
from responses_mw.routing.standing import Standing
from responses_mw.turn import Turn

MOST_REMEMBERED = 100_000


class Affinities:
    """Remembers who answered which session and which caller, for `affinity_ttl_s`."""

    def __init__(self, routing: Routing) -> None:
        self._checks = frozenset(routing.checks)
        self._ttl_s = routing.affinity_ttl_s
        self._remembered: dict[str, tuple[str, float]] = {}

    def keys(self, turn: Turn, record: TurnRecord) -> list[str]:
        """What this turn is remembered by, the closest first."""
        keys: list[str] = []
        caller = record.caller
        if "session_affinity" in self._checks:
            session = caller.session or turn.prompt_cache_key
            if session is not None:
                keys.append(_key("session", caller.owner, record.model, session))
        if "deployment_affinity" in self._checks:
            keys.append(_key("caller", caller.owner, record.model, caller.key or ""))
        return keys

    def remember(self, keys: Sequence[str], id: str, now: float) -> None:
        for key in keys:
            self._remembered.pop(key, None)
            while len(self._remembered) >= MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = (id, now + self._ttl_s)

    def recall(self, keys: Sequence[str], now: float) -> str | None:
        for key in keys:
            id, until = self._remembered.get(key, ("", 0.0))
            if now < until:
                return id
        return None

    def preferred(
        self,
        turn: Turn,
        record: TurnRecord,
        standings: Sequence[Standing],
        recalled: str | None,
        as_asked: Callable[[Standing], Turn],
    ) -> list[Standing]:
        """Those of `standings` that come first, all of them equally; empty without a wish.
        `recalled` is the id that was remembered for the turn's keys."""
        before = record.previous_deployment
        if before is not None and "responses_api_deployment_check" in self._checks:
            found = [standing for standing in standings if standing.id == before]
            if found:
                return found
        if "encrypted_content_affinity" in self._checks:
            readers = _readers(turn, standings, as_asked)
            if readers:
                return readers
        return [standing for standing in standings if standing.id == recalled]


def _readers(
    turn: Turn, standings: Sequence[Standing], as_asked: Callable[[Standing], Turn]
) -> list[Standing]:
    """Those that can read what the latest native turn holds; empty if all can or none."""
    native = next((span.native for span in reversed(turn.spans) if span.native is not None), None)
    if native is None:
        return []
    found = [standing for standing in standings if _scope(standing, as_asked) == native.scope]
    return found if len(found) < len(standings) else []


def _scope(standing: Standing, as_asked: Callable[[Standing], Turn]) -> str | None:
    provider = standing.deployment.provider
    return provider.scope(as_asked(standing)) if isinstance(provider, HasScope) else None


def _key(kind: str, *parts: str) -> str:
    """A digest: it may be kept outside of this process, and sessions are the users' own words."""
    text = "\0".join((kind, *parts))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
