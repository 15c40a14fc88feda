"""Requests made from our own OpenAPI document, valid and not, against the application itself.

Whatever comes, no answer is a 5xx or one that the document does not have, and nothing is taken that
the document does not allow. `RESPONSES_MW_EXAMPLES` says how many requests are made for each route;
`RESPONSES_MW_SEED` begins elsewhere.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from asked import WEATHER
from hypothesis import HealthCheck, seed, settings
from schemathesis.checks import CheckContext
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.filters import HasAPIOperation
from starlette.requests import HTTPConnection
from test_openapi import BEYOND_WORDS

from responses_mw import ResponsesApp, Settings
from responses_mw.testing import CheckModel, EchoProvider

EXAMPLES = int(os.environ.get("RESPONSES_MW_EXAMPLES", "8"))
SEED = int(os.environ.get("RESPONSES_MW_SEED", "1"))
KEY = "Bearer ann-key"

CONCERNING_OTHERS = (
    *BEYOND_WORDS,
    "not found",
    "No tool call found",
    "No tool output found",
    "was not made here for this user",
    "compact_threshold' is required",  # where the model's window is unknown
    "'input' is required",  # to compact an empty list
    "'input' is empty, and no previous_response_id",
    "There is no conversation to compact yet",
    "was not made with background: true",
    "No item with id",
    "No input item with id",
    "must be a date such as",  # of usage: what dates and groups look like needs words
    "group_by takes",
    "owner can only be your own",
)
"""Of the messages of what a request that the document allows may be refused for."""


def owner(connection: HTTPConnection) -> str | None:
    return "ann" if connection.headers.get("authorization") == KEY else None


def described(app: ResponsesApp) -> dict[str, Any]:
    """Narrowed to what this application has: its models, and its way to know a caller."""
    found = app.openapi()
    found["security"] = [{"bearer": []}]
    for name in ("rmw_create", "rmw_count", "rmw_compact"):
        model = found["components"]["schemas"][name]["properties"]["model"]
        model.update({"type": "string", "enum": app.models})
    return found


APP = ResponsesApp(
    store="memory://",
    models={"echo": EchoProvider(), "check": CheckModel(pause=0)},
    owner=owner,
    settings=Settings(conversation_wait_s=1, metrics=True, metrics_key=KEY.split()[1]),
)
# The ids and names that a request refers to may not exist: see `refused_with_reason`.
CONFIG = SchemathesisConfig.from_dict({"checks": {"positive_data_acceptance": {"enabled": False}}})
SCHEMA = schemathesis.openapi.from_dict(described(APP), config=CONFIG)
SCHEMA.app = APP
ROUTES = [found.ok().label for found in SCHEMA.get_all_operations()]
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class OneRoute:
    """Of the whole document, which says which methods and neighbours a route has."""

    def __init__(self) -> None:
        self.route = ""

    def has(self, context: HasAPIOperation) -> bool:
        return bool(context.operation.label == self.route)


TESTED = OneRoute()


@SCHEMA.auth()
class Bearer(schemathesis.AuthProvider):
    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        return KEY

    def set(self, case: schemathesis.Case, data: str, context: schemathesis.AuthContext) -> None:
        case.headers = {**(case.headers or {}), "Authorization": data}


def refused_with_reason(
    ctx: CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """What the document allows is refused only for what the document cannot say."""
    if response.status_code == 400 and case.meta and case.meta.generation.mode.is_positive:
        message = response.json()["error"]["message"]
        assert any(reason in message for reason in CONCERNING_OTHERS), message


ASKED: list[dict[str, Any]] = [
    {"model": "echo", "input": "Hi."},
    {"model": "check", "input": "Count to 20.", "background": True},
    {"model": "check", "input": "Why?", "reasoning": {"effort": "high", "summary": "auto"}},
    {"model": "check", "input": "The weather?", "tools": [WEATHER], "tool_choice": "required"},
]
TURNS: dict[str, Iterator[int]] = defaultdict(itertools.count)


def make(path: str, body: dict[str, Any]) -> Any:
    case = SCHEMA[path]["POST"].Case(body=body, media_type="application/json")
    return case.call(headers={"Authorization": KEY}).json()


def refer_to_what_exists(case: schemathesis.Case) -> None:
    """Every other request names a response, a conversation or an item that is there."""
    turn = next(TURNS[case.operation.label])
    if turn % 2 or case.meta is None:
        return
    response = make("/responses", ASKED[turn // 2 % len(ASKED)])
    items = [{"role": "user", "content": "Hi.", "id": "ours"}, {"type": "reasoning", "summary": []}]
    conversation = make("/conversations", {"items": items})
    if is_valid(case, ParameterLocation.PATH):
        id = conversation["id"] if "conversations" in case.operation.path else response["id"]
        known = {"id": id, "item_id": "ours", "name": "echo"}
        case.path_parameters = {name: known[name] for name in case.path_parameters or ()}
    if is_valid(case, ParameterLocation.BODY) and isinstance(case.body, dict):
        known = {"previous_response_id": response["id"], "conversation": conversation["id"]}
        named = {name: known[name] for name in known if case.body.get(name) is not None}
        case.body = {**case.body, **named}


def is_valid(case: schemathesis.Case, place: ParameterLocation) -> bool:
    assert case.meta is not None
    part = case.meta.components.get(place)
    return part is None or part.mode.is_positive


@pytest.fixture(params=ROUTES)
def schema(request: pytest.FixtureRequest) -> Any:
    """Collecting names the routes only: making up the requests for one takes longer than a second,
    and is left to the one of several workers that tests it."""
    request.node._nodeid = request.node.nodeid  # schemathesis looks for it, pytest 9.2 has it not
    TESTED.route = request.param
    return SCHEMA


@pytest.mark.untraced
@schemathesis.pytest.from_fixture("schema").include(TESTED.has).parametrize()
@seed(SEED)
@BOUNDED
def test_every_answer_is_described(case: schemathesis.Case) -> None:
    refer_to_what_exists(case)
    case.call_and_validate(additional_checks=[refused_with_reason])
