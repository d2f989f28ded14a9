"""A store and files full of secrets, and requests that carry some of them."""

import base64
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from pyfly.config_server.http.endpoint import Endpoint, Root
from pyfly.config_server.http.endpoints import ENDPOINTS

from .canary_texts import BROKEN, STORED, Canaries, make_canaries

SEED: Final = int(os.environ.get("PYFLY_PROOF_SEED", "1"))
REQUESTS: Final = int(os.environ.get("PYFLY_PROOF_REQUESTS", "600"))


@pytest.fixture(scope="session")
def canaries() -> Canaries:
    return make_canaries()


@pytest.fixture
def access_file(canaries: Canaries, tmp_path: Path) -> Path:
    """An access file whose principals may do everything: one with tokens, one with a JWT."""
    keys = tmp_path / "keys.json"
    keys.write_text(canaries.key_set, encoding="utf-8")
    rules = ", ".join(
        f'"{one}"' for one in ("read", "inspect", "write", "encrypt", "decrypt", "operate")
    )
    tokens = (canaries["hash of the access token"], canaries["hash of the unused token"])
    path = tmp_path / "access.toml"
    path.write_text(
        f"""\
[issuers.own]
issuer = "https://issuer"
audiences = ["pyfly-config"]
keys-file = "{keys}"
[principals.ops]
rules = [{{ rights = [{rules}, "files"], on = "*/*/*", files = "**" }}]
tokens = [{{ id = "one", sha256 = "{tokens[0]}" }}, {{ id = "two", sha256 = "{tokens[1]}" }}]
[principals.robot]
rules = [{{ rights = [{rules}], on = "*/*/*" }}]
subjects = [{{ issuer = "own", claims = {{ sub = "robot" }} }}]
""",
        encoding="utf-8",
    )
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def planted(canaries: Canaries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is full of secrets."""
    root = tmp_path_factory.mktemp("canaries") / "store"
    label = root / "main"
    label.mkdir(parents=True)
    c, cipher = canaries, canaries.ciphers
    files = {
        "orders-prod.yaml": (
            f"# {c['comment']}\nvalue: {c['plain value']}\ndb:\n  password: {c['password']}\n"
            f"  url: postgresql://u:{c['URL with password']}@h/d\nl: [x, {c['list element']}]\n"
            f"a: {{b: {{c: {c['nested value']}}}}}\nbound: '{{cipher}}{cipher['bound value']}'\n"
            f"enc: '{{cipher}}{cipher['encrypted value']}'\nn: {c['number-like value']}\n"
            f"anchor: &a {c['anchored value']}\nalias: *a\n"
            f"d: ${{nothing:{c['default of value']}}}\n"
            f"pem: |\n  -----BEGIN PRIVATE KEY-----\n  {c['private key']}\n"
            f"m: {{'[x.y]': {c['map key value']}}}\n"
        ),
        "stock-default.yaml": f"a: 1\n---\nsecond: {c['second document']}\n",
        "billing-prod.json": json.dumps({"value": c["JSON value"]}),
        "stock-prod.properties": f"value={c['properties value']}\n",
        "application-default.yaml": (
            f"shared:\n  value: {c['shared value']}\n"
            f"  bound: '{{cipher}}{cipher['shared bound value']}'\n"
        ),
        "plain.txt": f"password {c['plain file']} ${{value:}}\n",
        "broken-yaml.yaml": f"a: [{c['broken YAML']}\nb: {{\n",
        "broken-json.json": f'{{"a": "{c["broken JSON"]}" "b"}}',
        "broken-properties.properties": f"a={c['broken properties']}\\u00zz\n",
        "broken-twice.yaml": f"a: 1\na: {c['duplicate key']}\n",
        "broken-alias.yaml": f"a: *{c['unknown alias']}\n",
        "broken-tag.yaml": f"a: !!python/object {c['unknown tag']}\n",
        "broken-condition.yaml": f"spring.config.activate.on-profile: '{c['bad condition']} & ('\n",
        "broken-placeholder.yaml": f"a: '${{b}}{c['endless placeholder']}'\nb: '${{a}}'\n",
        "broken-cipher.yaml": (
            f"a: '{{cipher}}{c['broken cipher']}'\nb: '{{cipher}}v1:2028:{c['broken cipher']}'\n"
            f"d: '{{cipher}}{{key:k2}}{{secret:{c['secret of a key']}}}00'\n"
        ),
    }
    for name, text in files.items():
        (label / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def settings(canaries: Canaries) -> dict[str, str]:
    """The settings of a server with secrets in all of them, without their prefix."""
    bound = {
        "2028": canaries["key of bound values"],
        "2027": canaries["old key of bound values"],
    }
    return {
        "TOKEN": canaries["token"],
        "MONITOR_SECRET": canaries["monitor secret"],
        "ENCRYPT_KEY": canaries["password of values"],
        "ENCRYPT_KEYS": json.dumps({"k2": canaries["named password"]}),
        "ENCRYPT_BOUND_KEYS": json.dumps(bound),
        "ENCRYPT_PLAIN_TEXT": "true",
        "DECRYPT_ENDPOINT": "true",
        "OVERRIDES": json.dumps({"over": canaries["override"]}),
        "METRICS": "true",
        "LOG_LEVEL": "debug",
        "ACCESS_LOG": "true",
    }


# --- requests -----------------------------------------------------------------------------

_VALUES: Final = {
    "application": ("orders", "orders", "billing", "stock", "application", "broken", "nothing"),
    "name": ("orders", "billing", "stock", "broken", "orders,billing", "nothing"),
    "profile": ("prod", "prod", "prod", "prod", "default", "yaml", "cipher"),
    "label": ("main", "main", "main", "nothing"),
    "path": ("plain.txt", "orders-prod.yaml", "broken-yaml.yaml", "broken-cipher.yaml", "nothing"),
    "extension": ("json", "yml", "yaml", "properties"),
    "version": ("1", "nothing"),
}
_PROFILES: Final = (
    *("prod", "default", "yaml", "json", "properties", "twice", "alias", "tag", "condition"),
    *("placeholder", "cipher", "prod,nothing"),
)


_PLAIN_TARGETS: Final = {
    "environment": "/config/orders/prod",
    "flattened": "/config/orders-prod.yml",
    "resourceAtDefaultLabel": "/config/orders/prod/plain.txt?useDefaultLabel",
    "readBundle": "/config/_bundles/orders/prod/main",
    "metrics": "/metrics",
}


@dataclass(frozen=True, kw_only=True)
class CarryingRequest:
    """A request to one endpoint, with secrets that must not come back."""

    endpoint: Endpoint
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def _right_credentials(c: Canaries) -> list[str]:
    """Return credentials, each as often as it is to be used."""
    access, web_token = f"Bearer {c['access token']}", f"Bearer {c.web_token}"
    return [f"Bearer {c['token']}"] * 5 + [access] * 3 + [web_token] * 2


def _wrong_credentials(c: Canaries) -> list[str]:
    """Return credentials that are refused."""
    basic = base64.b64encode(f"u:{c['wrong password']}".encode()).decode()
    forged = f"{c.web_token.rpartition('.')[0]}.{c['signature of a forged JWT']}"
    return [
        f"Bearer {c['wrong token']}",
        f"Basic {basic}",
        c["wrong token"],
        f"Bearer {c['unknown access token']}",
        f"Bearer {forged}",
        "",
    ]


class RequestMaker:
    """Makes requests from the table of endpoints; the same for the same seed.

    Args:
        canaries: The secrets.
        seed: What the requests are made from.
    """

    def __init__(self, canaries: Canaries, seed: int) -> None:
        self._canaries = canaries
        self._chance = random.Random(seed)
        self._right = _right_credentials(canaries)
        self._wrong = _wrong_credentials(canaries)

    def requests(self, count: int) -> Iterator[CarryingRequest]:
        """Yield requests: every endpoint in turn, with everything else by chance.

        The first ones are answered with what endpoints show.
        """
        for one in ENDPOINTS:
            if one.id in _PLAIN_TARGETS:
                headers = {"Authorization": f"Bearer {self._canaries['token']}"}
                target = _PLAIN_TARGETS[one.id]
                yield CarryingRequest(
                    endpoint=one, method="GET", target=target, headers=headers, body=b""
                )
        for number in range(count):
            yield self._request(ENDPOINTS[number % len(ENDPOINTS)])

    def _request(self, endpoint: Endpoint) -> CarryingRequest:
        path = endpoint.path
        if endpoint.method == "DELETE":  # the secrets have to stay
            path = path.replace("{application}", "nothing")
        parts = [self._segment(part) for part in path.split("/")]
        base = "/config" if endpoint.root is Root.BASE_PATH else ""
        method = endpoint.method if self._chance.random() < 0.9 else self._any(("HEAD", "PUT"))
        body = b"" if method in {"GET", "HEAD"} else self._body(method)
        return CarryingRequest(
            endpoint=endpoint,
            method=method,
            target=base + "/".join(parts) + self._query(endpoint),
            headers=self._headers(method),
            body=body,
        )

    def _any(self, values: Any) -> Any:
        return self._chance.choice(values)

    def _segment(self, part: str) -> str:
        for name in _VALUES:
            part = part.replace(f"{{{name}}}", self._any(_VALUES[name]))
        return quote(part.replace("{profiles}", self._any(_PROFILES)), safe="/.,-_")

    def _query(self, endpoint: Endpoint) -> str:
        c = self._canaries
        queries = [
            *[""] * 12,  # own routes refuse unknown parameters
            *(f"token={c['token in a query']}", f"access_token={c['token in a query']}"),
            *("resolvePlaceholders=true", "limit=x", "key=bound", f"x={c['token in a query']}"),
        ]
        chosen = [one for one in (endpoint.selector, self._any(queries)) if one]
        return "?" + "&".join(chosen) if chosen else ""

    def _headers(self, method: str) -> dict[str, str]:
        c = self._canaries
        is_wrong = self._wrong and self._chance.random() < 0.1  # after a few of them, answers wait
        headers = {
            "Authorization": self._wrong.pop() if is_wrong else self._any(self._right),
            "Cookie": f"session={c['cookie']}",
            "X-Config-Token": c["wrong token"],
            "X-Hub-Signature-256": f"sha256={c['wrong signature']}",
            "X-Gitlab-Token": c["wrong signature"],
            "Accept": self._any(
                (
                    "*/*",
                    "application/json",
                    "application/vnd.spring-cloud.config-server.v2+json",
                    "text/plain",
                    "image/png",
                )
            ),
        }
        if method not in {"GET", "HEAD"}:
            headers["Content-Type"] = self._any(
                (
                    "application/json",
                    "application/yaml",
                    "text/plain",
                    "application/json-patch+json",
                    "application/merge-patch+json",
                )
            )
            headers[self._any(("If-Match", "If-None-Match"))] = self._any(("*", '"x"'))
        return headers

    def _body(self, method: str) -> bytes:
        c = self._canaries
        tested = [{"op": "test", "path": "/value", "value": c["tested value"]}]
        broken, collides = c["broken body"], c["colliding body"]
        return self._any(
            (
                f'{{"a": "{broken}" x}}'.encode(),
                f"a: [{broken}\n- {{".encode(),
                f"a: *{broken}\n".encode(),
                broken.encode() + b"\xff",
                json.dumps({"a.b": collides, "a": {"b": collides}}).encode(),
                json.dumps(tested).encode(),
                # another method would store it
                *([json.dumps({"version": broken}).encode()] if method == "POST" else []),
                c["text to encrypt"].encode(),
                f"{{cipher}}{c['text to decrypt']}".encode(),
                f"{{cipher}}v1:2028:{c['text to decrypt']}".encode(),
                c.ciphers["bound value"].encode(),
            )
        )


@pytest.fixture
def make_requests(canaries: Canaries) -> Any:
    """Return requests that carry secrets."""
    return lambda: RequestMaker(canaries, SEED).requests(REQUESTS)


# What the answers of an endpoint may hold, if they are no errors.
_DOCUMENT: Final = frozenset({*STORED} - {"comment", "plain file"})
_AS_STORED: Final = frozenset(
    {*STORED, *BROKEN}
    | {f"cipher of {one}" for one in ("encrypted value", "bound value", "shared bound value")}
)
ALLOWED: Final = {
    **dict.fromkeys(
        ("environment", "environmentAtLabel", "flattened", "flattenedAtLabel"),
        _DOCUMENT | {"endless placeholder"},
    ),
    **dict.fromkeys(
        ("resource", "resourceAtDefaultLabel", "readBundle", "readVersion"), _AS_STORED
    ),
    **dict.fromkeys(("decrypt", "decryptForApplication"), frozenset({"bound value"})),
}
"""Names of secrets by the ids of endpoints. All other endpoints show none."""


@pytest.fixture
def allowed() -> dict[str, frozenset[str]]:
    return ALLOWED
