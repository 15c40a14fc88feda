"""Who asked for a response, and what its usage is summed under."""

import dataclasses
from dataclasses import dataclass

from responses_mw.records import Caller
from responses_mw.schema import CreateRequest
from stores.base import History


@dataclass(frozen=True, slots=True)
class Asked:
    """`before` is what the turn goes on from, `chain` what its usage is summed under."""

    caller: Caller
    chain: str
    before: History | None


def chain_of(request: CreateRequest, id: str, before: History | None) -> str:
    """What usage is summed under: the conversation, else the chain's first response."""
    known = None if before is None else before.chain
    return request.conversation_id or known or request.previous_response_id or id


def end_user_of(request: CreateRequest, caller: Caller) -> str | None:
    return request.safety_identifier or request.user or caller.end_user


def with_tags(caller: Caller, request: CreateRequest) -> Caller:
    """Tags come in a header, or in the metadata, where they stay with the response."""
    if "tags" not in request.metadata and not caller.tags:
        return caller
    named = (tag.strip() for tag in request.metadata.get("tags", "").split(","))
    tags = dict.fromkeys([*caller.tags, *(tag for tag in named if tag)])
    return dataclasses.replace(caller, tags=tuple(tags))
