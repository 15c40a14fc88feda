"""What a client carries for us: signed, so that it comes back as it went or not at all.

A reasoning seal holds native state and a digest of the items it stands for: the reasoning item that
carries it or, in an empty one at the end of a turn, the `span` items before it. A compaction holds
the spans that stand for a longer conversation. Both are bound to their owner. Neither is encrypted:
they say nothing but what the client said itself and was told.
"""

import base64
import binascii
import hashlib
import hmac
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from responses_mw.deltas import NativeTurn
from responses_mw.errors import BodyTooLarge
from responses_mw.turn import Item, Span

_MARK = "rmw1."
_COMPACTION_MARK = "rmwc1."
_MAC_BYTES = 32
MOST_BYTES = 64 * 1024 * 1024
"""A few kilobytes may stand for megabytes: what was compressed is not opened beyond this."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """`whole`: it stands for everything before it; else what stands before it still counts."""

    spans: Sequence[Span]
    whole: bool


class Sealer:
    """One owner's seals, in one request. `key` is the application's secret; `room` are the bytes
    that the request's compactions, and those of its chain, may stand for together."""

    def __init__(self, key: bytes, owner: str, *, room: int = MOST_BYTES) -> None:
        self._secret = key
        self._owner = owner
        self._room = self._left = room

    def seal(self, native: NativeTurn | None, items: Sequence[Item]) -> str:
        """`items` end with the reasoning item that will carry the seal, or go directly before
        it. A compaction among them is no part of what was said."""
        items = [item for item in items if item.get("type") != "compaction"]
        payload = {
            "scope": "" if native is None else native.scope,
            "state": None if native is None else native.state,
            "span": len(items),
            "digest": _digest(items),
        }
        return self._signed(_MARK, orjson.dumps(payload))

    def open(self, sealed: Any) -> dict[str, Any] | None:
        """None for seals of another server, of another owner, or altered ones."""
        body = self._verified(_MARK, sealed)
        if body is None:
            return None
        payload: dict[str, Any] = orjson.loads(body)
        return payload

    def seal_compaction(self, compacted: Compacted) -> str:
        spans = [_packed(span) for span in compacted.spans]
        body = orjson.dumps({"spans": spans, "whole": compacted.whole})
        return self._signed(_COMPACTION_MARK, zlib.compress(body))

    def is_compaction(self, item: Item) -> bool:
        """Whether it is one of ours, as it was made."""
        return self._verified(_COMPACTION_MARK, item.get("encrypted_content")) is not None

    def compacted(self, item: Item) -> Compacted | None:
        """What a compaction item stands for; None for those that are not ours as they were. Raises
        BodyTooLarge if there is no room for it."""
        body = self._verified(_COMPACTION_MARK, item.get("encrypted_content"))
        if body is None:
            return None
        payload = orjson.loads(self._unpacked(body))
        return Compacted([_unpacked(*span) for span in payload["spans"]], payload["whole"])

    def spans(self, items: Sequence[Item]) -> list[Span]:
        """Input items, grouped so that each run with a good seal has its native form beside it, and
        with what compactions stand for in their place.

        Seals that do not open, or whose items were changed, are left out; their items stay, and so
        do compactions.
        """
        spans: list[Span] = []
        plain: list[Item] = []
        for item in items:
            compacted = self.compacted(item) if item.get("type") == "compaction" else None
            if compacted is not None:
                before_it = [*spans, Span(plain)] if plain else spans
                spans = [*([] if compacted.whole else before_it), *compacted.spans]
                plain = []
                continue
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

    def _unpacked(self, body: bytes) -> bytes:
        unpacked = zlib.decompressobj().decompress(body, self._left + 1)
        if len(unpacked) > self._left:
            raise BodyTooLarge(
                f"The compactions of this request and of what it continues stand for more than"
                f" {self._room} bytes; send fewer of them, or begin a new chain.",
                param="input",
            )
        self._left -= len(unpacked)
        return unpacked

    def _signed(self, mark: str, body: bytes) -> str:
        return mark + base64.urlsafe_b64encode(self._mac(mark, body) + body).decode()

    def _verified(self, mark: str, sealed: Any) -> bytes | None:
        if not isinstance(sealed, str) or not sealed.startswith(mark):
            return None
        try:
            raw = base64.b64decode(sealed[len(mark) :], altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        return body if hmac.compare_digest(mac, self._mac(mark, body)) else None

    def _mac(self, mark: str, body: bytes) -> bytes:
        """The mark is signed, too: a seal of one kind is none of the other."""
        key = hmac.digest(self._secret, b"seal:" + self._owner.encode(), "sha256")
        return hmac.digest(key, mark.encode() + body, "sha256")


def _packed(span: Span) -> list[Any]:
    native = None if span.native is None else [span.native.scope, span.native.state]
    return [list(span.items), native]


def _unpacked(items: list[Item], native: list[Any] | None) -> Span:
    return Span(items, None if native is None else NativeTurn(*native))


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
