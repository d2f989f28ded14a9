"""Encryption over HTTP, and decrypted values in every kind of answer."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_public_key,
)

from pyfly.config_core import MEDIA_TYPE_V2
from pyfly.config_server import (
    Encryption,
    EncryptionKeys,
    FilesystemConfigBackend,
    open_bound_keys,
    open_keys,
)

pytestmark = pytest.mark.anyio

SECRET = "000102030405060708090a0b0c0d0e0f92c516ebbdf9aecbb68f22247c57812d"
PLAIN = {"Content-Type": "text/plain"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NO_KEY = {"status": "NO_KEY", "description": "No key was installed for encryption service"}
INVALID = {"status": "INVALID", "description": "Text not encrypted with this key"}

FOO = open_keys(EncryptionKeys(default="foo", named={"k2": "bar"}))


@pytest.fixture
def start(root: Any, serve: Callable[..., Any]) -> Callable[..., Any]:
    """Serve the files below `root` with the key `foo`."""

    def begin(**options: Any) -> Any:
        given: dict[str, Any] = {"keys": FOO, "answers_decrypt": True}
        return serve(FilesystemConfigBackend(root), encryption=Encryption(**given | options))

    return begin


@pytest.fixture
def fx_e(write: Callable[[str, str], Any]) -> None:
    """Cipher texts, good and bad."""
    write(
        "main/sec-default.yaml",
        f'pw: "{{cipher}}{SECRET}"\nbad: "{{cipher}}00"\nplain: p\nl: ["{{cipher}}{SECRET}", x]\n',
    )


async def post(ask: Any, path: str, body: str, headers: Any = PLAIN) -> Any:
    return await ask(f"/config{path}", method="POST", headers=headers, body=body.encode())


@pytest.mark.anyio
@pytest.mark.case(81)
async def test_a_text_is_encrypted_and_decrypted(start: Callable[..., Any]) -> None:
    ask = start()
    encrypted = await post(ask, "/encrypt", "mysecret")
    assert encrypted.status == 200
    assert encrypted.headers["content-type"] == "text/plain;charset=UTF-8"
    assert re.fullmatch("[0-9a-f]{64}", encrypted.body.decode())
    decrypted = await post(ask, "/decrypt", encrypted.body.decode())
    assert (decrypted.status, decrypted.body) == (200, b"mysecret")
    for path in ("/decrypt/orders/prod,eu", "/decrypt/team(_)orders,x/prod"):
        assert (await post(ask, path, "{cipher}" + SECRET)).body == b"mysecret"
    json = {"Accept": "application/json"} | PLAIN
    assert (await post(ask, "/encrypt", "x", json)).headers["content-type"] == "application/json"


@pytest.mark.anyio
@pytest.mark.case(82)
@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        ("mysecret", FORM, "mysecret"),
        ("mysecret=", FORM, "mysecret"),
        ("a%2Bb", FORM, "a+b"),
        ("a+b%3D", FORM, "a b="),
        ("a=b", FORM, "a=b"),
        ("x=", PLAIN, "x="),
        ("a%2Bb\n", PLAIN, "a%2Bb\n"),
        ("p\u00e4ss \u2603", {"Content-Type": "text/plain; charset=utf-8"}, "p\u00e4ss \u2603"),
        ("a%2Bb=", {"Content-Type": "application/json"}, "a+b"),
        ("a%2Bb", {"Content-Type": "application/json"}, "a%2Bb"),
        ("", PLAIN, ""),
    ],
)
async def test_what_is_sent_is_taken_as_spring_takes_it(
    start: Callable[..., Any], body: str, headers: Any, text: str
) -> None:
    ask = start()
    encrypted = (await post(ask, "/encrypt", body, headers)).body.decode()
    assert (await post(ask, "/decrypt", encrypted)).body.decode() == text
    assert (await post(ask, "/decrypt", encrypted, FORM)).body.decode() == text


@pytest.mark.anyio
@pytest.mark.case(83)
@pytest.mark.parametrize(
    "cipher",
    [
        *("garbage", "0", "00", "", SECRET[:-1]),
        pytest.param(open_keys(EncryptionKeys(default="no")).encrypt("x"), id="of-another-key"),
    ],
)
async def test_what_was_not_encrypted_here_is_refused(
    start: Callable[..., Any], cipher: str
) -> None:
    answer = await post(start(), "/decrypt", cipher)
    assert (answer.status, answer.json) == (400, INVALID)


@pytest.mark.anyio
@pytest.mark.case(84)
async def test_without_a_key_there_is_none(start: Callable[..., Any]) -> None:
    ask = start(keys=None)
    for answer in (
        await ask("/config/encrypt/status"),
        await post(ask, "/encrypt", "x"),
        await post(ask, "/decrypt", SECRET),
    ):
        assert (answer.status, answer.json) == (404, NO_KEY)
    assert (await ask("/config/key")).status == 404


@pytest.mark.anyio
@pytest.mark.case(85)
async def test_the_status_of_a_password(start: Callable[..., Any]) -> None:
    ask = start()
    status = await ask("/config/encrypt/status")
    assert (status.status, status.json) == (200, {"status": "OK"})
    assert (await ask("/config/encrypt/status", method="HEAD")).body == b""
    for path in ("/config/key", "/config/key/orders/prod"):
        key = await ask(path)
        expected = {"status": "NOT_FOUND", "description": "No public key available"}
        assert (key.status, key.json) == (404, expected)


@pytest.mark.anyio
@pytest.mark.case(86)
async def test_the_public_key_of_rsa(start: Callable[..., Any]) -> None:
    private = generate_private_key(65_537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    ask = start(keys=open_keys(EncryptionKeys(default=pem)))
    key = await ask("/config/key")
    found: Any = load_ssh_public_key(key.body)
    assert found.public_numbers() == private.public_key().public_numbers()
    assert key.body.endswith(b" application")
    encrypted = (await post(ask, "/encrypt", "x")).body.decode()
    assert encrypted.startswith("AQ")
    for headers in (PLAIN, FORM):
        assert (await post(ask, "/decrypt", encrypted, headers)).body == b"x"
        assert (await post(ask, "/decrypt", encrypted.rstrip("=") + "=", headers)).body == b"x"


@pytest.mark.anyio
@pytest.mark.case(88)
async def test_a_public_key_alone_does_not_decrypt(start: Callable[..., Any]) -> None:
    from pyfly.config_server import KeyRing  # noqa: PLC0415
    from pyfly.config_server.encryption.ciphers import RsaEncryptor  # noqa: PLC0415

    public = generate_private_key(65_537, 2048).public_key()
    ask = start(keys=KeyRing(RsaEncryptor(public, None), {}))
    encrypted = await post(ask, "/encrypt", "x")
    assert encrypted.status == 200
    answer = await post(ask, "/decrypt", encrypted.body.decode())
    unsupported = {
        "status": "BAD_REQUEST",
        "description": "Server-side decryption is not supported",
    }
    assert (answer.status, answer.json) == (400, unsupported)


@pytest.mark.anyio
@pytest.mark.case(89)
async def test_keys_have_names(start: Callable[..., Any], write: Callable[[str, str], Any]) -> None:
    ask = start()
    new = (await post(ask, "/encrypt", "{key:k2}pw")).body.decode()
    assert new.startswith("{key:k2}")
    old = (await post(ask, "/encrypt", "old")).body.decode()
    write("main/sec-default.yaml", f"new: '{{cipher}}{new}'\nold: '{{cipher}}{old}'\n")
    (source,) = (await ask("/config/sec/default")).json["propertySources"]
    assert source["source"] == {"new": "pw", "old": "old"}
    unknown = await post(ask, "/encrypt", "{key:k3}pw")
    assert (unknown.status, unknown.json["status"]) == (400, "BAD_REQUEST")
    assert "k3" in unknown.json["description"]


@pytest.mark.anyio
@pytest.mark.case(90)
async def test_a_literal_prefix_is_kept(start: Callable[..., Any]) -> None:
    ask = start()
    encrypted = (await post(ask, "/encrypt", "{plain}{key:x}v")).body.decode()
    assert (await post(ask, "/decrypt", encrypted)).body == b"{key:x}v"


@pytest.mark.anyio
@pytest.mark.usefixtures("fx_e")
@pytest.mark.case(91)
async def test_a_document_has_clear_texts(start: Callable[..., Any]) -> None:
    (source,) = (await start()("/config/sec/default")).json["propertySources"]
    expected = {
        "plain": "p",
        "l[1]": "x",
        "pw": "mysecret",
        "invalid.bad": "<n/a>",
        "l[0]": "mysecret",
    }
    assert source["source"] == expected
    flattened = (await start()("/config/sec-default.json")).json
    assert flattened["l"] == ["mysecret", "x"]
    properties = (await start()("/config/sec-default.properties")).body.decode()
    assert "pw: mysecret" in properties.split("\n")


@pytest.mark.anyio
@pytest.mark.usefixtures("fx_e")
@pytest.mark.case(40)
async def test_a_decrypted_value_has_no_origin(start: Callable[..., Any]) -> None:
    answer = await start()("/config/sec/default", headers={"Accept": MEDIA_TYPE_V2})
    (source,) = answer.json["propertySources"]
    assert source["source"]["pw"] == "mysecret"
    assert source["source"]["invalid.bad"] == "<n/a>"
    assert source["source"]["plain"] == {"value": "p", "origin": "3:8"}


@pytest.mark.anyio
@pytest.mark.usefixtures("fx_e")
@pytest.mark.case(92)
async def test_the_key_of_an_invalid_value_can_be_kept(start: Callable[..., Any]) -> None:
    (source,) = (await start(prefixes_invalid=False)("/config/sec/default")).json["propertySources"]
    assert source["source"]["bad"] == "00"


@pytest.mark.anyio
@pytest.mark.usefixtures("fx_e")
@pytest.mark.case(93)
async def test_decryption_can_be_left_to_clients(start: Callable[..., Any]) -> None:
    answer = await start(decrypts_documents=False)("/config/sec/default")
    (source,) = answer.json["propertySources"]
    assert source["source"]["pw"] == "{cipher}" + SECRET


@pytest.mark.anyio
@pytest.mark.usefixtures("fx_e")
async def test_a_value_that_is_invalid_lets_the_lower_one_through(
    start: Callable[..., Any], write: Callable[[str, str], Any]
) -> None:
    write("main/sec-prod.yaml", "plain: '{cipher}00'\n")
    flattened = (await start()("/config/sec-prod.json")).json
    assert (flattened["plain"], flattened["invalid"]["plain"]) == ("p", "<n/a>")


@pytest.mark.anyio
@pytest.mark.usefixtures("fx_e")
async def test_overrides_and_stored_bundles_are_not_decrypted(
    root: Any, serve: Callable[..., Any]
) -> None:
    ask = serve(
        FilesystemConfigBackend(root),
        overrides={"over": "{cipher}00"},
        encryption=Encryption(keys=FOO),
    )
    overrides, _ = (await ask("/config/sec/default")).json["propertySources"]
    assert overrides["source"] == {"over": "{cipher}00"}
    bundle = (await ask("/config/_bundles/sec/default/main")).json
    assert bundle["properties"]["pw"] == "{cipher}" + SECRET


@pytest.mark.anyio
@pytest.mark.case(94, "S7")
@pytest.mark.parametrize("operation", ["encrypt", "decrypt", "key"])
@pytest.mark.parametrize(
    "names",
    [
        "a%23/x",
        "a/x,",
        "a/..",
        "a/b,..,c",
        "a/%2e%2e",
        "a/b%2Fc",
        "a/b%252Fc",
        "a/(_)",
        "a/{x}",
        "a/b:c",
        "a/-b",
        "..(_)../x",
        "$%7BHOME%7D/x",
    ],
)
async def test_names_in_the_path_are_checked(
    start: Callable[..., Any], operation: str, names: str
) -> None:
    path = f"/{operation}/{names}"
    ask = start()
    answer = await ask(f"/config{path}") if operation == "key" else await post(ask, path, "x")
    assert answer.status == 400


@pytest.mark.anyio
@pytest.mark.case("S7")
@pytest.mark.parametrize("accept", ["*/*", "application/octet-stream"])
@pytest.mark.parametrize("profile", ["a,..,b", "%2e%2e", "a%2Fb", "a%252Fb", "(_)", "{x}", "a:b"])
async def test_profiles_of_plain_files_are_checked(
    start: Callable[..., Any], write: Callable[[str, str], Any], profile: str, accept: str
) -> None:
    write("main/nginx.conf", "x")
    answer = await start()(f"/config/orders/{profile}/main/nginx.conf", headers={"Accept": accept})
    assert answer.status == 400


@pytest.mark.anyio
async def test_what_is_sent_without_a_type_or_is_no_text_is_refused(
    start: Callable[..., Any],
) -> None:
    ask = start()
    assert (await post(ask, "/encrypt", "x", {})).status == 400
    latin = await ask("/config/encrypt", method="POST", headers=PLAIN, body=b"\xff\xfe")
    assert latin.status == 400
    assert (await post(ask, "/encrypt", "x" * 1_048_577)).status == 413
    compressed = PLAIN | {"Content-Encoding": "gzip"}
    assert (await post(ask, "/encrypt", "x", compressed)).status == 415


@pytest.mark.anyio
async def test_decrypting_is_switched_on_or_forbidden(start: Callable[..., Any]) -> None:
    ask = start(answers_decrypt=False)
    assert (await post(ask, "/encrypt", "x")).status == 200
    answer = await post(ask, "/decrypt", SECRET)
    assert (answer.status, answer.json["message"]) == (
        403,
        "decryption over HTTP is disabled",
    )


@pytest.mark.anyio
async def test_applications_may_be_called_like_the_routes(
    start: Callable[..., Any], write: Callable[[str, str], Any]
) -> None:
    for name in ("encrypt", "decrypt", "key"):
        write(f"main/{name}-default.yaml", "a: 1\n")
    ask = start()
    for path in ("/encrypt/default", "/decrypt/default/main", "/key/default", "/encrypt/x/main"):
        assert (await ask(f"/config{path}")).json["propertySources"]
    for path, allowed in (
        ("/encrypt", "POST, OPTIONS"),
        ("/key", "GET, HEAD, OPTIONS"),
        ("/encrypt/x/main", "POST, GET, HEAD, OPTIONS"),
    ):
        method = "POST" if path == "/key" else "GET" if path == "/encrypt" else "DELETE"
        answer = await ask(f"/config{path}", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert (await ask(f"/config{path}", method="OPTIONS")).headers["allow"] == allowed


@pytest.mark.anyio
@pytest.mark.case(79, "S12")
async def test_cipher_texts_in_plain_files(
    start: Callable[..., Any], write: Callable[[str, str], Any]
) -> None:
    text = f"pw: '{{cipher}}{SECRET}'\n"
    for name in ("own.yaml", "own.txt", "orders-prod.yaml"):
        write(f"main/{name}", text)
    path = "/config/orders/default/main"
    ask = start()
    assert (await ask(f"{path}/own.yaml")).body.decode() == text
    assert (await ask(f"{path}/orders-prod.yaml")).body.decode() == text
    switched_on = start(decrypts_resources=True)
    assert (await switched_on(f"{path}/own.yaml")).body == b"pw: 'mysecret'\n"
    assert (await switched_on(f"{path}/own.txt")).body.decode() == text
    octets = {"Accept": "application/octet-stream"}
    assert (await switched_on(f"{path}/own.yaml", headers=octets)).body.decode() == text
    write("main/bad.yaml", "pw: '{cipher}00'\n")
    refused = await switched_on(f"{path}/bad.yaml")
    assert refused.status == 500
    assert "cipher}00" not in refused.body.decode()


# --- cipher texts that are bound to an application and a key ------------------------------

BOUND = open_bound_keys({"k1": "A" * 43})


async def test_a_bound_text_is_made_and_read_for_one_place(start: Callable[..., Any]) -> None:
    ask = start(bound=BOUND)
    made = await post(ask, "/encrypt/orders/prod?key=db.pass-word", "my secret")
    text = made.body.decode()
    assert (made.status, text[:6]) == (200, "v1:k1:")
    for path, body in [
        ("/decrypt/orders/prod?key=db.password", text),
        ("/decrypt/orders/other,dev?key=DB.PASSWORD", "{cipher}" + text),
    ]:
        read = await post(ask, path, body)
        assert (read.status, read.body) == (200, b"my secret")
    for path in (
        "/decrypt/billing/prod?key=db.password",
        "/decrypt/orders/prod?key=db.user",
        "/decrypt/orders/prod",
        "/decrypt",
    ):
        refused = await post(ask, path, text)
        assert (refused.status, refused.json["status"]) == (400, "INVALID")
        assert text[6:] not in refused.body.decode()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/encrypt/orders,billing/prod?key=a", 400),
        ("/encrypt/or%23ders/prod?key=a", 400),
        ("/encrypt/orders/prod?key=", 200),  # Spring's format
        ("/encrypt/orders/prod?key=%00%F0%9F%92%A9", 200),
        ("/encrypt?key=a", 200),  # as any unknown parameter there
    ],
)
async def test_a_place_is_one_application_and_one_key(
    start: Callable[..., Any], path: str, status: int
) -> None:
    assert (await post(start(bound=BOUND), path, "my secret")).status == status


async def test_without_keys_for_it_nothing_is_bound(start: Callable[..., Any]) -> None:
    for path in ("/encrypt/orders/prod?key=a", "/decrypt/orders/prod?key=a"):
        answer = await post(start(), path, "v1:k1:" + "A" * 40)
        assert (answer.status, answer.json) == (404, NO_KEY)
    only = start(keys=None, bound=BOUND)
    assert (await post(only, "/encrypt", "x")).status == 404
    assert (await only("/config/encrypt/status")).status == 200


async def test_a_bound_value_is_served_in_clear_text_in_every_format(
    start: Callable[..., Any], write: Callable[[str, str], Any]
) -> None:
    text = BOUND.encrypt("my secret", application="sec", key="db.password")
    write("main/sec-default.yaml", f"db:\n  password: '{{cipher}}{text}'\n")
    ask = start(bound=BOUND)
    for path in ("sec/default", "sec-default.json", "sec-default.yml", "sec-default.properties"):
        answer = await ask(f"/config/{path}")
        assert "my secret" in answer.body.decode()
    handed_on = await start(bound=BOUND, decrypts_documents=False)("/config/sec/default")
    assert text in handed_on.body.decode()
