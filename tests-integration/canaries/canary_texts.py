"""Secrets that can be recognised wherever they come out."""

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from pyfly.config_server import EncryptionKeys, open_bound_keys, open_keys
from pyfly.config_server.access.tokens import digest_of, make_token

CREDENTIALS: Final = (
    *("token", "monitor secret", "password of values", "named password", "key of bound values"),
    *("old key of bound values", "password of a database", "password of a repository"),
    *("secret of a bucket", "password in a store URL"),
    *(
        "access token",
        "unused access token",
        "hash of the access token",
        "hash of the unused token",
    ),
    *("signature of a JWT", "claim of a JWT"),
)
"""Secrets of the server. They come out nowhere."""

STORED: Final = (
    *("plain value", "password", "URL with password", "list element", "nested value", "JSON value"),
    *("properties value", "shared value", "second document", "override", "comment", "plain file"),
    *("encrypted value", "bound value", "shared bound value", "private key", "default of value"),
    *("anchored value", "number-like value", "map key value"),
)
"""Secrets in stored files. They come out in answers with configuration or files, nowhere else."""

BROKEN: Final = (
    *("broken YAML", "broken JSON", "broken properties", "duplicate key", "unknown alias"),
    *("unknown tag", "bad condition", "endless placeholder", "broken cipher", "secret of a key"),
)
"""Secrets in files and values that cannot be read. They come out in plain files only."""

SENT: Final = (
    *("wrong token", "wrong password", "token in a query", "cookie", "wrong signature"),
    *("broken body", "colliding body", "tested value", "text to encrypt", "text to decrypt"),
    *("unknown access token", "signature of a forged JWT"),
)
"""Secrets in requests. They come out nowhere."""


@dataclass(frozen=True, kw_only=True)
class Canaries:
    """The secrets by name."""

    texts: dict[str, str]
    web_token: str
    """A JSON Web Token that signs in."""
    key_set: str
    """The public keys of its issuer."""
    ciphers: dict[str, str] = field(default_factory=dict[str, str])
    """The cipher texts of some, without `{cipher}`."""

    def __getitem__(self, name: str) -> str:
        return self.texts[name]

    def found_in(self, output: str, *, allowed: frozenset[str] = frozenset()) -> list[str]:
        """Return the names of the secrets in an output, in clear or in a common encoding."""
        lower = output.lower()
        names = [
            name
            for name, text in self.texts.items()
            if name not in allowed and any(one in output for one in _encoded(text))
        ]
        names += [
            f"cipher of {name}"
            for name, text in self.ciphers.items()
            if f"cipher of {name}" not in allowed and text[12:60].lower() in lower
        ]
        return names


def _encoded(text: str) -> list[str]:
    """Return a text in clear, in hexadecimal digits and in base64 at each of its offsets."""
    data = text.encode()
    shifted = [base64.b64encode(b"x" * offset + data).decode()[4:-4] for offset in range(3)]
    return [text, data.hex(), *shifted]


def make_canaries() -> Canaries:
    """Return new secrets."""
    texts = {
        name: f"cnry{secrets.token_hex(10)}" for name in (*CREDENTIALS, *STORED, *BROKEN, *SENT)
    }
    assert len(texts) == 58
    for name in ("key of bound values", "old key of bound values"):
        texts[name] = base64.b64encode(secrets.token_bytes(32)).decode()
    texts["number-like value"] = "9" + "".join(secrets.choice("0123456789") for _ in range(20))
    for name in ("access token", "unused access token", "unknown access token"):
        texts[name] = make_token()
    texts["hash of the access token"] = digest_of(texts["access token"].encode()).hex()
    texts["hash of the unused token"] = digest_of(texts["unused access token"].encode()).hex()
    private, forger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    web_token = _web_token(private, texts["claim of a JWT"])
    texts["signature of a JWT"] = web_token.rpartition(".")[2]
    texts["signature of a forged JWT"] = _web_token(forger, "x").rpartition(".")[2]
    public = {**ECAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": "e1"}
    ring = open_keys(
        EncryptionKeys(default=texts["password of values"], named={"k2": texts["named password"]})
    )
    bound = open_bound_keys({"2028": texts["key of bound values"]})
    return Canaries(
        texts=texts,
        web_token=web_token,
        key_set=json.dumps({"keys": [public]}),
        ciphers={
            "encrypted value": ring.encrypt(texts["encrypted value"]),
            "bound value": bound.encrypt(texts["bound value"], application="orders", key="bound"),
            "shared bound value": bound.encrypt(
                texts["shared bound value"], application="application", key="shared.bound"
            ),
        },
    )


def _web_token(key: ec.EllipticCurvePrivateKey, claim: str) -> str:
    claims = {"iss": "https://issuer", "aud": "pyfly-config", "sub": "robot", "jti": claim}
    return jwt.encode(
        claims | {"exp": int(time.time()) + 86_400}, key, "ES256", headers={"kid": "e1"}
    )
