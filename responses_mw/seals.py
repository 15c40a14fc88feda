"""Reasoning that a client carries for us: signed, so that it comes back as it went or not at all.

A seal holds native state and a digest of the items it stands for: the reasoning item that carries
it or, in an empty one at the end of a turn, the `span` items before it. It is bound to its owner.
It is not encrypted: it says nothing to the client that the provider did not.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson

from responses_mw.deltas import NativeTurn
from responses_mw.turn import Item, Span

_MARK = "rmw1."
_MAC_BYTES = 32


class Sealer:
    """One owner's seals. `key` is the application's secret."""

    def __init__(self, key: bytes, owner: str) -> None:
        self._key = hmac.digest(key, b"seal:" + owner.encode(), "sha256")

    def seal(self, native: NativeTurn | None, items: Sequence[Item]) -> str:
        """`items` end with the reasoning item that will carry the seal, or go directly before
        it."""
        payload = {
            "scope": "" if native is None else native.scope,
            "state": None if native is None else native.state,
            "span": len(items),
            "digest": _digest(items),
        }
        body = orjson.dumps(payload)
        return _MARK + base64.urlsafe_b64encode(self._mac(body) + body).decode()

    def open(self, sealed: Any) -> dict[str, Any] | None:
        """None for seals of another server, of another owner, or altered ones."""
        if not isinstance(sealed, str) or not sealed.startswith(_MARK):
            return None
        try:
            raw = base64.b64decode(sealed[len(_MARK) :], altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        payload: dict[str, Any] = orjson.loads(body)
        return payload

    def spans(self, items: Sequence[Item]) -> list[Span]:
        """Input items, grouped so that each run with a good seal has its native form beside it.

        Seals that do not open, or whose items were changed, are left out; their items stay.
        """
        spans: list[Span] = []
        plain: list[Item] = []
        for item in items:
            bare, native, before = self._opened(item, plain)
            if native is None:
                plain.append(bare)
                continue
            covered = plain[len(plain) - before :]
            del plain[len(plain) - before :]
            if plain:
                spans.append(Span(plain))
                plain = []
            spans.append(Span([*covered, bare], native))
        return [*spans, Span(plain)] if plain else spans

    def _opened(self, item: Item, before: list[Item]) -> tuple[Item, NativeTurn | None, int]:
        if item.get("type") != "reasoning" or "encrypted_content" not in item:
            return item, None, 0
        bare = {key: value for key, value in item.items() if key != "encrypted_content"}
        payload = self.open(item["encrypted_content"])
        if payload is None or not payload["scope"]:
            return bare, None, 0
        native = NativeTurn(payload["scope"], payload["state"])
        span: int = payload["span"]
        if span == 1 and payload["digest"] == _digest([bare]):
            return bare, native, 0
        if 0 < span <= len(before) and payload["digest"] == _digest(before[-span:]):
            return bare, native, span
        return bare, None, 0

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def _digest(items: Sequence[Item]) -> str:
    """Of what the items say; ids and status may be lost on the way."""
    said = [_said(item) for item in items]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()


def _said(item: Item) -> list[Any]:
    match item.get("type"):
        case "message":
            texts = [part.get("text", part.get("refusal")) for part in item["content"]]
            return ["message", item["role"], texts]
        case "function_call":
            return ["function_call", item["call_id"], item["name"], item["arguments"]]
        case "reasoning":
            parts = [*item.get("summary", ()), *(item.get("content") or ())]
            return ["reasoning", [part.get("text") for part in parts]]
        case other:
            return [other, item.get("call_id")]
