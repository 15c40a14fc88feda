"""AWS's signature version 4, reckoned by its published description: the judge of what we send.

Nothing of ours and nothing of AWS's own client is imported here.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlsplit


def signature(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secret: str,
    scope: str,
    signed: str,
) -> str:
    """`scope` is day/region/service/aws4_request; `headers` have lower-case names."""
    parts = urlsplit(url)
    query = "&".join(sorted(parts.query.split("&"))) if parts.query else ""
    names = signed.split(";")
    canonical = "\n".join(
        [
            method,
            quote(parts.path or "/", safe="/-_.~"),  # encoded once more: what AWS wants
            query,
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            signed,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def said(authorization: str) -> dict[str, str]:
    algorithm, _, fields = authorization.partition(" ")
    assert algorithm == "AWS4-HMAC-SHA256"
    return dict(entry.strip().split("=", 1) for entry in fields.split(","))


def reckoned(
    url: str, sent: Mapping[str, str], added: Mapping[str, str], body: bytes, secret: str
) -> str:
    added = {name.lower(): value for name, value in added.items()}
    fields = said(added["authorization"])
    headers = {**sent, **added, "host": urlsplit(url).netloc}
    return signature(
        "POST",
        url,
        headers,
        body,
        secret=secret,
        scope=fields["Credential"].split("/", 1)[1],
        signed=fields["SignedHeaders"],
    )
