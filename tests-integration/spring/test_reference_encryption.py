"""A real Spring Cloud Config server and ours with the same key: cipher texts in both directions.

What differs on purpose is in `DELIBERATE` and in docs/explanation/compatibility.md.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from pyfly.config_server import EncryptionKeys, KeyRing, KeyStoreFile, open_keys

pytestmark = pytest.mark.external

Send = Callable[[httpx.Client], httpx.Response]

SECONDS: Final = 60
TYPES: Final = ("text/plain", "application/x-www-form-urlencoded", "application/json")
VERBATIM: Final = [
    *("mysecret", "pässwörd ☃ 日本", "a+b", "x=", "a+b==", "a=b", "a b\n", "x" * 5000),
    *("%", "a%2Bb", "te}xt{a:b}", " v ", "${a}"),
]
TEXTS: Final = {
    **{text: text for text in VERBATIM},
    "{plain}": "",
    "{plain}{key:x}v": "{key:x}v",
    "{key:k2}v": "v",
    "{key:K2}{plain}{plain}v": "{plain}v",
    "{key:k2}{secret:open sesame}v": "v",
    "{name:orders}{profiles:prod}v": "v",
    "{other:word}v": "v",
}
"""What is sent as plain text, and what it means."""
OF_ANOTHER_KEY: Final = (  # always the same: of random ones, one in 256 seems to have been padded
    "000102030405060708090a0b0c0d0e0f0978f998b9a2fee694f7708f0dc98c17"
)
FORMS: Final = ["secret", "a%2Bb", "a+b%3D", "a=b", "x=", "%7Bkey%3Ak2%7Dv", "p%C3%A4ss"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The reference and ours, with one key and on one directory."""

    theirs: httpx.Client
    ours: httpx.Client
    keys: KeyRing
    root: Path


StartPair = Callable[..., Pair]


@pytest.fixture(scope="module")
def start_pair(
    jar: Callable[..., Path],
    run_jar: Callable[..., str],
    start_server: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StartPair]:
    """Start the reference with properties below `encrypt.`, and ours with the settings."""

    def start(keys: EncryptionKeys, properties: dict[str, str], **settings: str) -> Pair:
        root = tmp_path_factory.mktemp("repository")
        theirs = run_jar(
            jar("reference-server"),
            "--spring.profiles.active=native",
            f"--spring.cloud.config.server.native.search-locations=file:{root}",
            *(f"--encrypt.{name}={value}" for name, value in properties.items()),
            path="/encrypt/status",
        )
        flat = f"{root.as_uri()}?layout=spring"
        ours = start_server(flat, "--base-path", "", DECRYPT_ENDPOINT="true", **settings)
        first, second = (
            opened.enter_context(httpx.Client(base_url=url, timeout=SECONDS))
            for url in (theirs, ours.url)
        )
        return Pair(theirs=first, ours=second, keys=open_keys(keys), root=root)

    with contextlib.ExitStack() as opened:
        yield start


@pytest.fixture(scope="module")
def password_pair(start_pair: StartPair) -> Pair:
    return start_pair(EncryptionKeys(default="foo"), {"key": "foo"}, ENCRYPT_KEY="foo")


@pytest.fixture(scope="module")
def store_pair(start_pair: StartPair, key_store: KeyStoreFile) -> Pair:
    given = {
        "location": f"file:{key_store.location}",
        "password": key_store.password,
        "alias": key_store.alias,
    }
    theirs = {f"key-store.{name}": value for name, value in given.items()}
    ours = {f"ENCRYPT_KEY_STORE_{name.upper()}": value for name, value in given.items()}
    keys = EncryptionKeys(default=key_store)
    return start_pair(keys, theirs | {"key-store.type": "pkcs12"}, **ours)


@pytest.fixture(scope="module", params=["password_pair", "store_pair"])
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def submit(server: httpx.Client, path: str, text: str, kind: str = "text/plain") -> httpx.Response:
    return server.post(path, content=text.encode(), headers={"Content-Type": kind})


def converted(server: httpx.Client, path: str, text: str, kind: str = "text/plain") -> str:
    answer = submit(server, path, text, kind)
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain;charset=UTF-8",
    ), (path, text, answer.text)
    return answer.text


@pytest.mark.case(81, 86, 89, 90)
def test_each_decrypts_what_the_other_encrypted(pair: Pair) -> None:
    for text, clear in TEXTS.items():
        ciphers = [converted(server, "/encrypt", text) for server in (pair.theirs, pair.ours)]
        assert ciphers[0].rpartition("}")[0] == ciphers[1].rpartition("}")[0], text
        for cipher in (*ciphers, pair.keys.encrypt(text)):
            assert converted(pair.theirs, "/decrypt", cipher) == clear
            assert converted(pair.ours, "/decrypt", cipher) == clear
            assert pair.keys.decrypt(cipher) == clear


@pytest.mark.case(82)
@pytest.mark.parametrize("kind", TYPES)
def test_what_is_sent_in_other_types_is_taken_as_the_reference_takes_it(
    pair: Pair, kind: str
) -> None:
    servers = (pair.theirs, pair.ours)
    for text in FORMS:
        theirs, ours = (converted(one, "/encrypt", text, kind) for one in servers)
        assert pair.keys.decrypt(theirs) == pair.keys.decrypt(ours), text
    for cipher in [converted(one, "/encrypt", "secret", kind) for one in servers]:
        assert [converted(one, "/decrypt", cipher, kind) for one in servers] == ["secret"] * 2


def stored(pair: Pair) -> dict[str, Any]:
    """Return values with cipher texts of the reference and of ours, whole and broken."""
    theirs, ours = (converted(one, "/encrypt", "pä: ss") for one in (pair.theirs, pair.ours))
    named = [converted(one, "/encrypt", "{key:k2}v") for one in (pair.theirs, pair.ours)]
    ciphers = {
        "theirs": theirs,
        "ours": ours,
        "named": named[0],
        "own-named": named[1],
        "upper": theirs.upper(),
        "cut": ours[:-2],
        "marked": f"{{cipher}}{theirs}",
        "blank": f" {theirs}",
        "line": f"{theirs}\n",
        "folded": f"{ours[:40]} {ours[40:]}",
        "unknown": f"{{key:k3}}{theirs}",
        "wrong": f"{{key:k2}}{theirs}",
        "empty": "",
        "plain": f"{{plain}}{theirs}",
        "ignored": f"{{name:x}}{{user:}}{theirs}",
        "secret": f"{{key:k1}}{{secret:no}}{theirs}",
        "garbage": "garbage",
        "short": "00",
        "placeholder": pair.keys.encrypt("${clear}"),
        "digits": pair.keys.encrypt("007"),
    }
    values = {key: f"{{cipher}}{text}" for key, text in ciphers.items()}
    nested = {"pool": {"pw": values["ours"]}, "list": ["x", values["theirs"], values["garbage"]]}
    return {"clear": "text", **values, **nested, "asks": "${theirs}", "not": f"x{values['ours']}"}


@pytest.mark.case(91, 92)
def test_documents_have_the_same_clear_texts_in_the_same_order(pair: Pair) -> None:
    lower = {"garbage": "of the lower source", "theirs": "hidden", "last": 1}
    (pair.root / "application.yml").write_text(json.dumps(lower), encoding="utf-8")
    (pair.root / "sec.yml").write_text(json.dumps(stored(pair)), encoding="utf-8")
    documents = [one.get("/sec/default").json() for one in (pair.theirs, pair.ours)]
    theirs, ours = (
        [list(source["source"].items()) for source in document["propertySources"]]
        for document in documents
    )
    assert ours == theirs
    assert ("invalid.garbage", "<n/a>") in ours[0]
    assert ("own-named", "v") in ours[0]
    for path in ("/sec-default.json", "/sec-default.yml", "/sec-default.properties"):
        expected, found = (one.get(path) for one in (pair.theirs, pair.ours))
        assert (found.status_code, found.content) == (200, expected.content), path


def told(answer: httpx.Response) -> Any:
    """Return what a client may rely on: the status, and the members of an error."""
    if answer.request.method == "HEAD" or not answer.content:
        return answer.status_code
    if answer.headers["content-type"].startswith("text/plain"):
        return answer.status_code, answer.text
    members = answer.json()
    for ours_or_of_the_moment in ("timestamp", "message"):
        members.pop(ours_or_of_the_moment, None)
    return answer.status_code, members


def refused(pair: Pair) -> dict[str, Send]:
    """Return requests for `/decrypt` by what is wrong with them."""
    cipher = converted(pair.theirs, "/encrypt", "hello")
    texts = {
        "garbage": "garbage",
        "empty": "",
        "short": "00",
        "hexadecimal": "00" * 48,
        "only iv": "00" * 16,
        "no prefix": f"{{{cipher}",
        "cut": cipher[:-4],
        "blank": f" {cipher}",
        "line": f"{cipher}\n",
        "marked": f"{{cipher}}{cipher}",
        "unknown key": f"{{key:k3}}{cipher}",
        "other key": f"{{key:k2}}{cipher}",
        "wrong secret": f"{{key:k1}}{{secret:no}}{cipher}",
        "other": OF_ANOTHER_KEY,
    }

    def decrypt(text: str) -> Send:
        return lambda server: submit(server, "/decrypt", text)

    return {f"decrypt {name}": decrypt(text) for name, text in texts.items()}


def asked(pair: Pair) -> dict[str, Send]:
    """Return requests for all endpoints."""

    def ask(method: str, path: str) -> Send:
        return lambda server: server.request(method, path)

    methods = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
    paths = ("/encrypt", "/decrypt", "/key", "/key/orders/prod", "/encrypt/status")
    return {
        **{f"{method} {path}": ask(method, path) for method in methods for path in paths},
        **{f"POST {path}": ask("POST", path) for path in paths},  # without a media type
        **refused(pair),
        "encrypt empty": lambda server: submit(server, "/encrypt", ""),
    }


DELIBERATE: Final = {
    "password_pair": {
        "decrypt empty": "400 with the members of INVALID",
        "decrypt short": "too short: 400 instead of 500",
        "decrypt only iv": "too short: 400 instead of an empty text",
        "decrypt marked": "decrypted",
        "encrypt empty": "encrypted",
    },
    "store_pair": {
        "decrypt empty": "400 with the members of INVALID",
        "decrypt marked": "decrypted",
        "decrypt unknown key": "400 that names the key",
        "decrypt wrong secret": "400 that says so",
        "encrypt empty": "encrypted",
    },
}


@pytest.mark.case(83, 85, 86)
@pytest.mark.parametrize("name", DELIBERATE)
def test_answers_of_all_endpoints_are_those_of_the_reference(
    password_pair: Pair, store_pair: Pair, name: str
) -> None:
    pair = {"password_pair": password_pair, "store_pair": store_pair}[name]
    sent = asked(pair)
    assert DELIBERATE[name].keys() <= sent.keys()
    differing: list[str] = []
    for what, send in sent.items():
        expected, found = told(send(pair.theirs)), told(send(pair.ours))
        if (found == expected) is (what in DELIBERATE[name]):
            differing.append(f"{what}: {expected!r} here {found!r}")
    assert differing == []


@pytest.mark.case(86)
def test_the_public_key_is_that_of_the_reference(store_pair: Pair) -> None:
    shown = store_pair.theirs.get("/key").text
    assert re.fullmatch(r"ssh-rsa [A-Za-z0-9+/]+=* application", shown)
    assert store_pair.ours.get("/key").text == store_pair.keys.default.public_key == shown


@pytest.mark.case(89)
def test_a_key_by_its_name_is_that_of_the_reference(
    store_pair: Pair, key_store: KeyStoreFile
) -> None:
    second = open_keys(EncryptionKeys(default=replace(key_store, alias="k2")))
    bare = converted(store_pair.theirs, "/encrypt", "{key:k2}v").removeprefix("{key:k2}")
    assert second.decrypt(bare) == "v"
    assert converted(store_pair.theirs, "/decrypt", f"{{key:k2}}{second.encrypt('v')}") == "v"
    assert converted(store_pair.ours, "/decrypt", f"{{key:k2}}{bare}") == "v"
    unknown = [submit(one, "/encrypt", "{key:k3}v") for one in (store_pair.theirs, store_pair.ours)]
    assert [answer.status_code for answer in unknown] == [500, 400]
    assert "k3" in unknown[1].json()["description"]
