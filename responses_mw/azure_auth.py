"""Credentials for Azure from Entra: the header that bears a token, renewed before it expires.

azure-identity finds the credentials (a managed identity, a service principal, a developer's login);
nothing of it is imported before it is needed, and what may block is done in a thread.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from responses_mw.errors import ConfigurationError, UpstreamUnavailable

logger = logging.getLogger(__name__)

V1_SCOPE = "https://ai.azure.com/.default"
OLDER_SCOPE = "https://cognitiveservices.azure.com/.default"
"""For addresses with an api-version."""

_RENEW_BEFORE_S = 300


class TokenCredential(Protocol):
    """What azure-identity's credentials are: `get_token` may block."""

    def get_token(self, *scopes: str) -> Any:
        """Has `token` and `expires_on`, in seconds since 1970."""
        ...


class AzureAuth:
    """One per deployment; may be used from any number of event loops. `credential` None: the
    first that azure-identity finds on this machine."""

    def __init__(self, scope: str = V1_SCOPE, *, credential: TokenCredential | None = None) -> None:
        self._scope = scope
        self._credential = credential or _default()
        self._lock = threading.Lock()
        self._known: Any = None

    def __repr__(self) -> str:
        return f"AzureAuth({self._scope!r})"

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Raises UpstreamUnavailable if there is no token to be had."""
        if not self._lasts(_RENEW_BEFORE_S):
            await asyncio.to_thread(self._renew)
        return {"authorization": f"Bearer {self._known.token}"}

    def _lasts(self, seconds: float) -> bool:
        return self._known is not None and self._known.expires_on > time.time() + seconds

    def _renew(self) -> None:
        """In a thread. Others who came meanwhile find a fresh token and ask nobody."""
        with self._lock:
            if self._lasts(_RENEW_BEFORE_S):
                return
            try:
                self._known = self._credential.get_token(self._scope)
            except _refusals() as error:
                # The text may quote what the token server answered.
                logger.warning("no Azure token is to be had: %s", error)
                if self._lasts(0):
                    return
                raise UpstreamUnavailable(
                    f"no Azure token is to be had ({type(error).__name__}); the log says more",
                    provider="azure",
                ) from error


def _refusals() -> tuple[type[Exception], ...]:
    try:
        from azure.core.exceptions import AzureError
    except ModuleNotFoundError:  # a credential that is not azure-identity's
        return ValueError, OSError
    return AzureError, ValueError, OSError


def _default() -> TokenCredential:
    # azure-identity takes 0.14 s to import, and only deployments without a key need it.
    try:
        from azure.identity import DefaultAzureCredential
    except ModuleNotFoundError as error:
        message = "a deployment at Azure without a key needs azure-identity: "
        raise ConfigurationError(message + "pip install 'responses-mw[azure]'") from error
    credential: TokenCredential = DefaultAzureCredential()
    return credential
