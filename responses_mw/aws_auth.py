"""Credentials for AWS: which region, which host, and the headers that prove who asks.

Botocore finds the credentials (its whole chain), renews them and signs; nothing of it is imported
before it is needed, and what may block is done in a thread. No message holds a secret.
"""

import asyncio
import logging
import os
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from responses_mw.errors import ConfigurationError, UpstreamUnavailable

logger = logging.getLogger(__name__)

BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"

Auth = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Mapping[str, str]]]
"""What the transport asks before every attempt; see there."""

_ARN = re.compile(r"arn:aws[a-z-]*:[a-z-]+:([a-z]{2}[a-z0-9-]+):")
_SIGNED_HEADERS = ("content-type", "x-amz-", "x-amzn-")
"""How the names of the headers begin that are signed beside the host; others may still change on
their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AWSIdentity:
    """Who asks: keys, or the name of a profile, or neither, which means botocore's default chain.

    With `role_arn`, that identity assumes the role, and the role asks.
    """

    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    role_arn: str | None = None
    role_session_name: str = "responses-mw"


class SigV4:
    """Signs requests. One per deployment; may be used from any number of event loops."""

    def __init__(
        self, *, region: str, service: str = "bedrock", identity: AWSIdentity | None = None
    ) -> None:
        self.region = region
        self.service = service
        self._identity = identity or AWSIdentity()
        self._lock = threading.Lock()
        self._credentials: Any = None

    def __repr__(self) -> str:
        return f"SigV4(region={self.region!r}, service={self.service!r})"

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Raises UpstreamUnavailable if there are no credentials to be had."""
        return self._signature(await self._frozen(), method, url, headers, body)

    def _signature(
        self, credentials: Any, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        kept = {name: said for name, said in headers.items() if name.startswith(_SIGNED_HEADERS)}
        request = AWSRequest(method=method, url=url, headers=kept, data=body)
        SigV4Auth(credentials, self.service, self.region).add_auth(request)
        return {name: said for name, said in request.headers.items() if name.lower() not in kept}

    async def _frozen(self) -> Any:
        """The keys to sign with. They are looked for, and renewed, in a thread: both may take
        seconds, and talk to other hosts."""
        from botocore.exceptions import BotoCoreError, ClientError

        known = self._credentials
        if known is not None and not _expires_soon(known):
            return known.get_frozen_credentials()
        try:
            return await asyncio.to_thread(self._found)
        except (BotoCoreError, ClientError) as error:
            # The text may quote what an external program printed.
            logger.warning("AWS credentials cannot be had: %s", error)
            raise UpstreamUnavailable(
                f"AWS credentials cannot be had ({type(error).__name__}); the log says more",
                provider=self.service,
            ) from error

    def _found(self) -> Any:
        with self._lock:
            if self._credentials is None:
                self._credentials = _credentials(self._identity, self.region)
            if self._credentials is None:
                raise UpstreamUnavailable(
                    "there are no AWS credentials: set AWS_ACCESS_KEY_ID and "
                    f"AWS_SECRET_ACCESS_KEY, a profile, a role or {BEARER_VARIABLE}",
                    provider=self.service,
                )
            return self._credentials.get_frozen_credentials()


def _credentials(identity: AWSIdentity, region: str) -> Any:
    """Of botocore, renewed by themselves where they expire; None if there are none."""
    session = _session(identity.profile)
    if identity.access_key_id is not None:
        session.set_credentials(
            identity.access_key_id, identity.secret_access_key, identity.session_token
        )
    credentials = session.get_credentials()
    if identity.role_arn is None or credentials is None:
        return credentials
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    session.set_config_variable("region", region)
    fetcher = AssumeRoleCredentialFetcher(
        session.create_client,
        credentials,
        identity.role_arn,
        extra_args={"RoleSessionName": identity.role_session_name},
    )
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _expires_soon(credentials: Any) -> bool:
    """Keys that last for ever are of a class that does not ask."""
    refresh_needed = getattr(credentials, "refresh_needed", None)
    return refresh_needed is not None and bool(refresh_needed())


def bearer(token: str) -> Auth:
    async def add(
        method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        return {"authorization": f"Bearer {token}"}

    return add


def aws_auth(
    *,
    region: str,
    service: str = "bedrock",
    api_key: str | None = None,
    identity: AWSIdentity | None = None,
) -> Auth:
    """An API key, if there is one, is the bearer token; else one from the environment, unless an
    identity was named; else requests are signed."""
    token = api_key or (os.environ.get(BEARER_VARIABLE) if identity is None else None)
    if token:
        return bearer(token)
    try:
        import botocore  # noqa: F401 (a missing extra is said at the start, not at a request)
    except ModuleNotFoundError as error:
        message = "AWS signatures need botocore: pip install 'responses-mw[bedrock]'"
        raise ConfigurationError(message) from error
    return SigV4(region=region, service=service, identity=identity)


def aws_region(model: str, *, region: str | None = None, profile: str | None = None) -> str:
    """The named one, that of the model's ARN, the environment's, or the profile's.

    Raises ConfigurationError if none of them says one.
    """
    arn = _ARN.match(model)
    if named := region or (arn and arn[1]):
        return named
    if named := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        return named
    if named := _profile_region(profile):
        return named
    raise ConfigurationError(
        f"no AWS region for {model!r}: set aws_region_name, AWS_REGION, or a region in the profile"
    )


def bedrock_url(region: str, endpoint: str | None = None) -> str:
    """The base URL of the Bedrock runtime; a named endpoint, or the environment's, replaces it."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    named = endpoint or os.environ.get(ENDPOINT_VARIABLE)
    return named or f"https://bedrock-runtime.{region}.{domain}"


def _profile_region(profile: str | None) -> str | None:
    try:
        from botocore.exceptions import ProfileNotFound
    except ModuleNotFoundError:  # whoever has an API key needs no botocore
        return None

    try:
        found: str | None = _session(profile).get_config_variable("region")
    except ProfileNotFound as error:
        raise ConfigurationError(f"there is no AWS profile {profile!r}") from error
    return found


def _session(profile: str | None) -> Any:
    # botocore takes 0.3 s to import, and only deployments at AWS need it.
    from botocore.session import Session

    return Session(profile=profile)
