"""What each route is for, takes and may answer: one entry of a table for each.

Whoever adds a route adds its entry; what bodies hold is in `openapi_requests` and
`openapi_answers`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from responses_mw.included import VALUES as INCLUDE
from responses_mw.json_schema import JsonSchema
from responses_mw.openapi_answers import COUNT, FLAG, TEXT, array, one_of
from stores.accounts import GROUPS

_OWNED = ("401", "403", "500", "503")
_PROVIDED = (
    "400",
    "401",
    "403",
    "404",
    "409",
    "413",
    "415",
    "429",
    "500",
    "502",
    "503",
    "504",
    "5XX",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `answers` and `body` name components, `links` go from an answer to
    what can be asked next of it. `answers` None: plain text. `open`: nobody is asked who they
    are."""

    id: str
    summary: str
    answers: str | None
    errors: Sequence[str] = _OWNED
    body: str | None = None
    body_required: bool = True
    streams: bool = False
    open: bool = False
    query: Mapping[str, JsonSchema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


_INCLUDE: Mapping[str, JsonSchema] = {"include[]": array(one_of(*INCLUDE))}
_PAGE: Mapping[str, JsonSchema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    "order": {**one_of("asc", "desc"), "default": "desc"},
    "after": {**TEXT, "description": "The id of the item before the page."},
    **_INCLUDE,
}
_RESUME: Mapping[str, JsonSchema] = {
    "stream": {**FLAG, "default": False},
    "starting_after": {
        **COUNT,
        "maximum": 10**15 - 1,
        "description": "The sequence_number of the last event heard.",
    },
    **_INCLUDE,
}
_SUMMED: Mapping[str, JsonSchema] = {
    "group_by": {**TEXT, "description": f"With commas between: {', '.join(GROUPS)}."},
    "start": {**TEXT, "description": "A date, a date and time, or seconds since the epoch."},
    "end": {**TEXT, "description": "The first moment that does not count."},
    "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000},
    **dict.fromkeys(GROUPS, TEXT),
}
_TURN_HEADERS = {
    "x-responses-mw-deployment": "Which deployment of the model answered.",
    "x-responses-mw-fallback": "`from->to`, models or deployments, where another one answered.",
    "x-response-cost": "Dollars, where the price is known and the answer is whole.",
    "x-responses-mw-dropped": "Parameters for which the provider has no field, with commas.",
}
_ITS_ID = {"id": "$response.body#/id"}
_RESPONSE_LINKS = {
    name: _ITS_ID for name in ("getResponse", "listInputItems", "cancelResponse", "deleteResponse")
}
_CONVERSATION_LINKS = {
    name: _ITS_ID for name in ("getConversation", "updateConversation", "listItems", "addItems")
}
_ITEM_LINKS = {
    name: {"id": "$request.path.id", "item_id": "$response.body#/first_id"}
    for name in ("getItem", "deleteItem")
}

OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "/responses": {
        "POST": Operation(
            id="createResponse",
            summary="Ask a model, and keep its answer",
            body="create",
            answers="response",
            streams=True,
            errors=_PROVIDED,
            headers=_TURN_HEADERS,
            links=_RESPONSE_LINKS,
        )
    },
    "/responses/input_tokens": {
        "POST": Operation(
            id="countInputTokens",
            summary="How many tokens an input has",
            body="count",
            body_required=False,
            answers="tokens",
            errors=_PROVIDED,
            headers={"x-responses-mw-estimated": "`input_tokens` if the number is an estimate."},
        )
    },
    "/responses/compact": {
        "POST": Operation(
            id="compactResponse",
            summary="A conversation as its user's messages and one sealed item",
            body="compact",
            answers="compaction",
            errors=_PROVIDED,
        )
    },
    "/responses/{id}": {
        "GET": Operation(
            id="getResponse",
            summary="Read a stored response, or hear its events again",
            answers="response",
            streams=True,
            errors=("400", "404", *_OWNED),
            query=_RESUME,
        ),
        "DELETE": Operation(
            id="deleteResponse",
            summary="Delete a stored response",
            answers="deleted_response",
            errors=("404", *_OWNED),
        ),
    },
    "/responses/{id}/cancel": {
        "POST": Operation(
            id="cancelResponse",
            summary="Stop a response that is generated in the background",
            answers="response",
            errors=("400", "404", *_OWNED),
        )
    },
    "/responses/{id}/input_items": {
        "GET": Operation(
            id="listInputItems",
            summary="The input of a stored response",
            answers="list",
            errors=("400", "404", *_OWNED),
            query=_PAGE,
        )
    },
    "/conversations": {
        "POST": Operation(
            id="createConversation",
            summary="Begin a conversation",
            body="new_conversation",
            body_required=False,
            answers="conversation",
            errors=("400", "413", "415", *_OWNED),
            links=_CONVERSATION_LINKS,
        )
    },
    "/conversations/{id}": {
        "GET": Operation(
            id="getConversation",
            summary="Read a conversation",
            answers="conversation",
            errors=("404", *_OWNED),
        ),
        "POST": Operation(
            id="updateConversation",
            summary="Change a conversation's metadata",
            body="conversation_update",
            answers="conversation",
            errors=("400", "404", "413", "415", *_OWNED),
        ),
        "DELETE": Operation(
            id="deleteConversation",
            summary="Delete a conversation; its responses stay",
            answers="deleted_conversation",
            errors=("404", *_OWNED),
        ),
    },
    "/conversations/{id}/items": {
        "GET": Operation(
            id="listItems",
            summary="The items of a conversation",
            answers="list",
            errors=("400", "404", *_OWNED),
            query=_PAGE,
            links=_ITEM_LINKS,
        ),
        "POST": Operation(
            id="addItems",
            summary="Add items to a conversation",
            body="new_items",
            answers="list",
            errors=("400", "404", "413", "415", *_OWNED),
            query=_INCLUDE,
            links=_ITEM_LINKS,
        ),
    },
    "/conversations/{id}/items/{item_id}": {
        "GET": Operation(
            id="getItem",
            summary="Read one item of a conversation",
            answers="item",
            errors=("400", "404", *_OWNED),
            query=_INCLUDE,
        ),
        "DELETE": Operation(
            id="deleteItem",
            summary="Take an item out of a conversation",
            answers="conversation",
            errors=("404", *_OWNED),
        ),
    },
    "/models": {
        "GET": Operation(
            id="listModels",
            summary="The models that can be asked",
            answers="models",
            errors=("401", "403", "500"),
        )
    },
    "/models/{name}": {
        "GET": Operation(
            id="getModel",
            summary="One model; its name may hold slashes",
            answers="model",
            errors=("401", "403", "404", "500"),
        )
    },
    "/health/live": {
        "GET": Operation(
            id="live", summary="Whether the process answers", answers="health", errors=(), open=True
        )
    },
    "/health/ready": {
        "GET": Operation(
            id="ready",
            summary="Whether requests should be sent here",
            answers="health",
            errors=("503",),
            open=True,
        )
    },
    "/usage": {
        "GET": Operation(
            id="sumUsage",
            summary="What was used and what it cost, the dearest first",
            answers="totals",
            errors=("400", *_OWNED),
            query=_SUMMED,
        )
    },
    "/key/generate": {
        "POST": Operation(
            id="makeKey",
            summary="A virtual key, shown this once; for the master key only",
            body="new_key",
            answers="key",
            errors=("400", "413", "415", *_OWNED),
        )
    },
    "/key/list": {
        "GET": Operation(
            id="listKeys",
            summary="All virtual keys, without what they are; for the master key only",
            answers="keys",
            query={"owner": TEXT},
        )
    },
    "/key/info": {
        "GET": Operation(
            id="getKey",
            summary="One virtual key, by its id or by itself; for the master key only",
            answers="key",
            errors=("404", *_OWNED),
            query={"key": TEXT},
        )
    },
    "/key/update": {
        "POST": Operation(
            id="changeKey",
            summary="Change a virtual key's limits; for the master key only",
            body="changed_key",
            answers="key",
            errors=("400", "404", "413", "415", *_OWNED),
        )
    },
    "/key/block": {
        "POST": Operation(
            id="blockKey",
            summary="Let a key in no more until it is unblocked; for the master key only",
            body="named_key",
            answers="key",
            errors=("400", "404", "413", "415", *_OWNED),
        )
    },
    "/key/unblock": {
        "POST": Operation(
            id="unblockKey",
            summary="Let a blocked key in again; for the master key only",
            body="named_key",
            answers="key",
            errors=("400", "404", "413", "415", *_OWNED),
        )
    },
    "/key/delete": {
        "POST": Operation(
            id="revokeKeys",
            summary="Let keys in no more; for the master key only",
            body="revoked_keys",
            answers="deleted_keys",
            errors=("400", "404", "413", "415", *_OWNED),
        )
    },
    "/metrics": {
        "GET": Operation(
            id="metrics",
            summary="What was counted, for Prometheus",
            answers=None,
            errors=("401", "404"),
        )
    },
    "/openapi.json": {
        "GET": Operation(
            id="openapi", summary="This document", answers="openapi", errors=(), open=True
        )
    },
}
