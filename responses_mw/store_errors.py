"""What a client is told when the store cannot give what a request needs."""

import logging

from responses_mw.errors import InvalidRequest, StoreUnavailable
from stores.base import StoreError

logger = logging.getLogger("responses_mw")


def previous_response_not_found(id: str | None) -> InvalidRequest:
    return InvalidRequest(
        f"Previous response with id '{id}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def unavailable(error: StoreError) -> StoreUnavailable:
    logger.error("the store failed: %s", error)
    return StoreUnavailable(
        "The conversation store is not available. Try again.", headers={"Retry-After": "1"}
    )
