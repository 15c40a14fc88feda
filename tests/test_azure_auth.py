"""A token of Entra is borne, renewed before it ends, and asked for once by many."""

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from responses_mw.azure_auth import OLDER_SCOPE, V1_SCOPE, AzureAuth
from responses_mw.config import load
from responses_mw.errors import UpstreamUnavailable

SECRET = "eyJ-topsecret"


@dataclass
class Token:
    token: str
    expires_on: float


@dataclass
class Credential:
    """What azure-identity's are, with tokens of its own."""

    lifetimes: list[float]
    scopes: list[str] = field(default_factory=list)

    def get_token(self, *scopes: str) -> Token:
        self.scopes += scopes
        time.sleep(0.02)
        if not self.lifetimes:
            raise OSError(f"no more {SECRET}")
        return Token(f"{SECRET}-{len(self.scopes)}", time.time() + self.lifetimes.pop(0))


async def bear(auth: AzureAuth) -> str:
    return (await auth("POST", "https://r", {}, b""))["authorization"]


async def test_a_token_is_asked_for_once_while_it_lasts() -> None:
    credential = Credential([3600])
    auth = AzureAuth(credential=credential)
    borne = await asyncio.gather(*(bear(auth) for _ in range(5)))
    assert set(borne) == {f"Bearer {SECRET}-1"}
    assert credential.scopes == [V1_SCOPE]


async def test_a_token_is_renewed_before_it_ends() -> None:
    auth = AzureAuth(OLDER_SCOPE, credential=Credential([60, 3600]))
    assert await bear(auth) == f"Bearer {SECRET}-1"
    assert await bear(auth) == f"Bearer {SECRET}-2"
    assert await bear(auth) == f"Bearer {SECRET}-2"


async def test_a_token_that_still_lasts_is_borne_when_no_other_is_to_be_had() -> None:
    auth = AzureAuth(credential=Credential([60]))
    assert await bear(auth) == await bear(auth)


async def test_without_a_token_the_upstream_is_not_available() -> None:
    auth = AzureAuth(credential=Credential([]))
    with pytest.raises(UpstreamUnavailable, match="no Azure token") as raised:
        await bear(auth)
    assert SECRET not in raised.value.message
    assert SECRET not in repr(auth)


def test_a_deployment_without_a_key_asks_entra(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azure.identity", reason="azure-identity is not installed")
    for name in ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_VERSION"):
        monkeypatch.delenv(name, raising=False)

    def provider(**params: str) -> object:
        named = {"model": "azure/x", "api_base": "https://r.openai.azure.com", **params}
        entry = {"model_name": "m", "litellm_params": named}
        return load({"model_list": [entry]}).models["m"][0].provider

    assert V1_SCOPE in repr(provider()._auth)  # type: ignore[attr-defined]
    older = provider(api_version="2025-03-01-preview")
    assert OLDER_SCOPE in repr(older._auth)  # type: ignore[attr-defined]
