"""Credentials for Google Cloud: the header that proves who asks, and whose project it is.

google-auth finds the credentials (a service account's file, or the application default ones) and
renews their tokens; nothing of it is imported before it is needed, and what may block is done in a
thread. No message holds a secret.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from responses_mw.errors import ConfigurationError, UpstreamUnavailable

logger = logging.getLogger(__name__)

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
PROJECT_VARIABLES = ("VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT")

LOADERS = {
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "external_account": ("google.auth.identity_pool", "from_info"),
    "external_account.aws": ("google.auth.aws", "from_info"),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials",
        "from_impersonated_service_account_info",
    ),
}
"""Modules whose `Credentials` are made from JSON of a type, and how. The default credentials may be
of any type that google-auth knows."""


class GoogleAuth:
    """Bears a token that is renewed before it expires. One per deployment; may be used from any
    number of event loops.

    `credentials` is the path of a credentials file or its JSON; None: the application default
    ones. A `token` is borne as it is and never renewed. `quota_project` pays, if another than the
    credentials' own should.
    """

    def __init__(
        self,
        *,
        credentials: str | None = None,
        token: str | None = None,
        quota_project: str | None = None,
        provider: str = "vertex_ai",
    ) -> None:
        self._source = credentials
        self._token = token
        self._quota_project = quota_project
        self._provider = provider
        self._lock = threading.Lock()
        self._credentials: Any = None
        if token is None:
            _check_installed()

    def __repr__(self) -> str:
        return f"GoogleAuth(provider={self._provider!r})"

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Raises UpstreamUnavailable if there is no token to be had."""
        token, project = await self._current()
        borne = {"authorization": f"Bearer {token}"}
        return {**borne, "x-goog-user-project": project} if project else borne

    async def _current(self) -> tuple[str, str | None]:
        if self._token is not None:
            return self._token, self._quota_project
        renewing = self._lock.locked() and self._is_fresh(or_stale=True)
        if not renewing and not self._is_fresh():
            await asyncio.to_thread(self._renew)
        project = self._quota_project or getattr(self._credentials, "quota_project_id", None)
        return self._credentials.token, project

    def _is_fresh(self, *, or_stale: bool = False) -> bool:
        """A stale token is about to expire, and still good."""
        from google.auth.credentials import TokenState

        good = (TokenState.FRESH, TokenState.STALE) if or_stale else (TokenState.FRESH,)
        return self._credentials is not None and self._credentials.token_state in good

    def _renew(self) -> None:
        """In a thread. Others who came meanwhile find a fresh token and ask nobody."""
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        with self._lock:
            if self._is_fresh():
                return
            try:
                if self._credentials is None:
                    self._credentials = _load(self._source)
                self._credentials.refresh(Request())
            except (GoogleAuthError, ValueError, OSError) as error:
                if self._is_fresh(or_stale=True):
                    logger.warning("a Google token cannot be renewed yet: %s", error)
                    return
                # The text may quote what the token server answered.
                logger.warning("no Google token is to be had: %s", error)
                raise UpstreamUnavailable(
                    f"no Google token is to be had ({type(error).__name__}); the log says more",
                    provider=self._provider,
                ) from error


def google_project(credentials: str | None = None) -> str:
    """The project of the credentials, else the environment's.

    Raises ConfigurationError if none of them says one.
    """
    named = _project_of(credentials)
    for variable in PROJECT_VARIABLES:
        named = named or os.environ.get(variable)
    named = named or _project_of(os.environ.get(FILE_VARIABLE))
    if named:
        return named
    raise ConfigurationError(
        f"no Google Cloud project: set vertex_project or {' or '.join(PROJECT_VARIABLES)}"
    )


def _project_of(credentials: str | None) -> str | None:
    if not credentials:
        return None
    try:
        project = _parsed(credentials).get("project_id")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the Google credentials cannot be read: {type(error).__name__}; "
            "name a credentials file, or give its JSON"
        ) from error
    return project if isinstance(project, str) else None


def _parsed(credentials: str) -> dict[str, Any]:
    given = credentials.encode() if credentials.lstrip().startswith("{") else None
    parsed = orjson.loads(Path(credentials).read_bytes() if given is None else given)
    if not isinstance(parsed, dict):
        raise ValueError("credentials are a JSON object")
    return parsed


def _load(source: str | None) -> Any:
    # google-auth takes 0.1 s to import, and only deployments at Google Cloud need it.
    if source is None:
        import google.auth

        untyped: Any = google.auth
        return untyped.default(scopes=[SCOPE])[0]
    named = _parsed(source)
    kind = str(named.get("type"))
    if kind == "external_account" and "environment_id" in named.get("credential_source", {}):
        kind += ".aws"
    if kind not in LOADERS:
        raise ValueError(f"credentials of type {kind!r} are not among {', '.join(LOADERS)}")
    module, loader = LOADERS[kind]
    credentials: Any = import_module(module)
    return getattr(credentials.Credentials, loader)(named, scopes=[SCOPE])


def _check_installed() -> None:
    try:
        import google.auth  # noqa: F401
        import requests  # noqa: F401 (a missing extra is said at the start, not at a request)
    except ModuleNotFoundError as error:
        message = "Google credentials need google-auth: pip install 'responses-mw[vertex]'"
        raise ConfigurationError(message) from error
