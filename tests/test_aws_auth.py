"""AWS signatures against our own reckoning; regions and keys from where they really come."""

import asyncio
import json
import os
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aws_signature import reckoned, said, signature
from upstream import Exchange, upstream

from responses_mw.aws_auth import (
    AWSIdentity,
    SigV4,
    aws_auth,
    aws_region,
    bedrock_url,
)
from responses_mw.errors import ConfigurationError, UpstreamUnavailable

KEYS = AWSIdentity(access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfi")
URL = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/eu.anthropic.claude-v1%3A0/converse"
HEADERS = {"content-type": "application/json", "user-agent": "x", "x-amzn-bedrock-trace": "ENABLED"}


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


# --- the signature


def test_our_reckoning_gives_the_published_signature() -> None:
    """AWS's test suite for signature version 4, its case `get-vanilla`."""
    found = signature(
        "GET",
        "https://example.amazonaws.com/",
        {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"},
        b"",
        secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        scope="20150830/us-east-1/service/aws4_request",
        signed="host;x-amz-date",
    )
    assert found == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://127.0.0.1:8080/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ax%2Fy/converse-stream",
    ],
)
async def test_signature_is_the_one_we_reckon(url: str) -> None:
    body = b'{"messages": []}'
    added = await SigV4(region="eu-west-1", identity=KEYS)("POST", url, HEADERS, body)

    fields = said(added["Authorization"])
    assert fields["Credential"].endswith("/eu-west-1/bedrock/aws4_request")
    assert fields["SignedHeaders"] == "content-type;host;x-amz-date;x-amzn-bedrock-trace"
    assert KEYS.secret_access_key is not None
    expected = reckoned(url, HEADERS, added, body, KEYS.secret_access_key)
    assert fields["Signature"] == expected
    assert fields["Signature"] != reckoned(url, HEADERS, added, body + b" ", "wJalr")


async def test_session_token_is_sent_and_signed() -> None:
    identity = AWSIdentity(access_key_id="A", secret_access_key="s", session_token="t0ken")
    added = await SigV4(region="us-east-1", identity=identity)("POST", URL, HEADERS, b"")

    assert added["X-Amz-Security-Token"] == "t0ken"
    assert "x-amz-security-token" in said(added["Authorization"])["SignedHeaders"]
    assert said(added["Authorization"])["Signature"] == reckoned(URL, HEADERS, added, b"", "s")


async def test_another_service_is_named_in_the_scope() -> None:
    added = await SigV4(region="us-east-1", service="bedrock-mantle", identity=KEYS)(
        "POST", URL, {}, b""
    )
    assert "/us-east-1/bedrock-mantle/aws4_request" in added["Authorization"]


# --- where credentials come from


async def key_used(auth: SigV4) -> str:
    added = await auth("POST", URL, HEADERS, b"{}")
    return said(added["Authorization"])["Credential"].split("/")[0]


async def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert await key_used(SigV4(region="us-east-1")) == "AKIDENV"


async def test_keys_come_from_a_named_profile(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n"
    )
    auth = SigV4(region="us-east-1", identity=AWSIdentity(profile="work"))
    assert await key_used(auth) == "AKIDWORK"


async def test_keys_come_from_a_program(tmp_path: Path) -> None:
    keys = {"Version": 1, "AccessKeyId": "AKIDPROGRAM", "SecretAccessKey": "s"}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process = cat {tmp_path / 'keys.json'}\n"
    )
    assert await key_used(SigV4(region="us-east-1")) == "AKIDPROGRAM"


async def test_keys_that_expire_are_renewed_without_holding_up_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A container's credentials endpoint, which takes its time."""
    made = 0

    async def endpoint(exchange: Exchange) -> None:
        nonlocal made
        made += 1
        await asyncio.sleep(0.05)
        soon = datetime.now(UTC) + timedelta(seconds=60 if made == 1 else 7200)
        keys = {"AccessKeyId": f"AKID{made}", "SecretAccessKey": "s", "Token": "t"}
        await exchange.whole({**keys, "Expiration": soon.strftime("%Y-%m-%dT%H:%M:%SZ")})

    async with upstream(endpoint) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/keys")
        auth = SigV4(region="us-east-1")
        # The server runs on this very loop: it could not answer if the loop were held up.
        used = await asyncio.gather(*(key_used(auth) for _ in range(3)))
        assert await key_used(auth) == "AKID2"

    assert made == 2
    assert set(used) <= {"AKID1", "AKID2"}


async def test_a_role_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def sts(exchange: Exchange) -> None:
        asked.append(exchange.body)
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        await exchange.whole(
            f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
            <AssumeRoleResult><Credentials><AccessKeyId>AKIDROLE</AccessKeyId>
            <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
            <Expiration>{later}</Expiration></Credentials></AssumeRoleResult>
            </AssumeRoleResponse>""".encode(),
            content_type="text/xml",
        )

    role = "arn:aws:iam::123456789012:role/bedrock"
    async with upstream(sts) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        identity = AWSIdentity(access_key_id="A", secret_access_key="s", role_arn=role)
        auth = SigV4(region="us-east-1", identity=identity)
        assert await key_used(auth) == "AKIDROLE"
        assert await key_used(auth) == "AKIDROLE"

    assert len(asked) == 1
    assert b"RoleSessionName=responses-mw" in asked[0]


async def test_no_credentials_are_an_upstream_that_cannot_be_had() -> None:
    with pytest.raises(UpstreamUnavailable, match="no AWS credentials: set AWS_ACCESS_KEY_ID"):
        await SigV4(region="us-east-1")("POST", URL, HEADERS, b"")


async def test_what_a_failing_program_prints_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[default]\ncredential_process = sh -c 'echo s3cret >&2; exit 1'\n"
    )
    with pytest.raises(UpstreamUnavailable, match="CredentialRetrievalError") as caught:
        await SigV4(region="us-east-1")("POST", URL, HEADERS, b"")
    assert "s3cret" not in caught.value.message


def test_one_signer_serves_many_event_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = SigV4(region="us-east-1", identity=KEYS)
    used: list[str] = []
    threads = [
        threading.Thread(target=lambda: used.append(asyncio.run(key_used(auth)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used == ["AKIDEXAMPLE"] * 4


def test_secrets_are_in_no_repr() -> None:
    assert "wJalr" not in repr(KEYS)
    assert "wJalr" not in repr(SigV4(region="us-east-1", identity=KEYS))


# --- bearer tokens


async def test_an_api_key_is_a_bearer_token() -> None:
    auth = aws_auth(region="us-east-1", api_key="ABSK1")
    assert await auth("POST", URL, HEADERS, b"") == {"authorization": "Bearer ABSK1"}


async def test_the_token_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "ABSK2")
    auth = aws_auth(region="us-east-1")
    assert await auth("POST", URL, HEADERS, b"") == {"authorization": "Bearer ABSK2"}


def test_a_named_identity_comes_before_the_token_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "ABSK2")
    assert isinstance(aws_auth(region="us-east-1", identity=KEYS), SigV4)


def test_a_missing_extra_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(ConfigurationError, match=r"responses-mw\[bedrock\]"):
        aws_auth(region="us-east-1")


# --- where to


def test_region_is_the_named_one_the_models_or_the_environments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arn = "arn:aws:bedrock:ap-south-1:123456789012:application-inference-profile/abc"
    with pytest.raises(ConfigurationError, match=r"no AWS region for 'amazon\.nova'"):
        aws_region("amazon.nova")
    (tmp_path / "config").write_text("[profile work]\nregion = sa-east-1\n")
    assert aws_region("amazon.nova", profile="work") == "sa-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    assert aws_region("amazon.nova") == "us-east-2"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert aws_region("amazon.nova") == "us-west-2"
    assert aws_region(arn) == "ap-south-1"
    assert aws_region(arn, region="eu-west-1") == "eu-west-1"


def test_an_unknown_profile_is_the_operators_mistake() -> None:
    with pytest.raises(ConfigurationError, match="no AWS profile 'nobody'"):
        aws_region("amazon.nova", profile="nobody")


def test_address_is_the_regions_or_the_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bedrock_url("us-east-1") == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert bedrock_url("cn-north-1") == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:1")
    assert bedrock_url("us-east-1") == "http://127.0.0.1:1"
    assert bedrock_url("us-east-1", "http://127.0.0.1:2") == "http://127.0.0.1:2"
