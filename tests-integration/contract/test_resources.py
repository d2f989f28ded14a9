"""Cases 71 to 78: plain-text and binary resources, on both adapters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import FilesystemConfigBackend, InMemoryConfigBackend

pytestmark = pytest.mark.anyio

LOGO = bytes(range(256))
OCTETS = {"Accept": "application/octet-stream"}

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def fx_f(root: Path, write: Write) -> None:
    """Plain files, with a variant for a profile."""
    write("main/nginx.conf", "server_name ${nginx.name};\n")
    write("main/nginx-dev.conf", "dev ${nginx.name};\n")
    write("main/orders-default.yaml", "nginx: {name: example.com}\n")
    write("main/orders-dev.yaml", "nginx: {name: dev.example.com}\n")
    (root / "main/logo.bin").write_bytes(LOGO)


@pytest.mark.case(71)
@pytest.mark.parametrize("accept", [None, "*/*", "text/*", "text/plain"])
async def test_placeholders_of_a_text_are_replaced(ask: Any, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = await ask("/config/orders/default/main/nginx.conf", headers=headers)
    assert (answer.status, answer.body) == (200, b"server_name example.com;\n")
    assert answer.headers["content-type"].split(";")[0] == "text/plain"


@pytest.mark.case(72)
@pytest.mark.parametrize(
    ("profiles", "body"),
    [
        ("dev", b"dev dev.example.com;\n"),
        ("other", b"server_name example.com;\n"),
        ("other,dev", b"dev dev.example.com;\n"),
        ("default,dev", b"server_name dev.example.com;\n"),
    ],
)
async def test_the_first_profile_that_has_a_variant_gives_it(
    ask: Any, profiles: str, body: bytes
) -> None:
    assert (await ask(f"/config/orders/{profiles}/main/nginx.conf")).body == body


@pytest.mark.case(73)
async def test_the_default_label_is_used_on_demand(ask: Any) -> None:
    for query in (
        "useDefaultLabel",
        "useDefaultLabel=",
        "useDefaultLabel=false",
        "a=b&useDefaultLabel",
    ):
        answer = await ask(f"/config/orders/dev/nginx.conf?{query}")
        assert answer.body == b"dev dev.example.com;\n"
    answer = await ask("/config/orders/dev/nginx.conf")
    assert (answer.status, answer.json["status"]) == (404, 404)
    assert (await ask("/config/orders/dev/a/b?useDefaultLabel")).status == 404
    answer = await ask("/config/orders/dev/main/nginx.conf?useDefaultLabel")
    assert answer.body == b"dev dev.example.com;\n"


@pytest.mark.case(74)
@pytest.mark.parametrize("name", ["nginx.conf", "logo.bin"])
async def test_bytes_are_those_of_the_file(ask: Any, root: Path, name: str) -> None:
    for accept in (
        "application/octet-stream",
        "text/html, */*, application/octet-stream",
        "text/plain, application/*;q=0.5",
    ):
        answer = await ask(f"/config/orders/default/main/{name}", headers={"Accept": accept})
        assert answer.body == (root / "main" / name).read_bytes()
        assert answer.headers["content-type"] == "application/octet-stream"


async def test_the_type_is_the_one_asked_for(ask: Any) -> None:
    path = "/config/orders/default/main/nginx.conf"
    for accept, media_type in (
        ("application/xml", "application/xml"),
        ("text/css, */*;q=0.1", "text/css"),
        ('text/"x', "text/plain"),
        ("text/*", "text/plain"),
        ("*/*, application/octet-stream;q=0.1", "text/plain"),
        ("application/octet-stream;q=0, text/css", "text/css"),
    ):
        answer = await ask(path, headers={"Accept": accept})
        assert answer.headers["content-type"] == f"{media_type};charset=UTF-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
    tags = [(await ask(path, headers={"Accept": one})).headers["etag"] for one in ("a/b", "a/c")]
    assert tags[0] != tags[1]


@pytest.mark.case(75)
async def test_placeholders_are_kept_on_demand(ask: Any) -> None:
    path = "/config/orders/default/main/nginx.conf?resolvePlaceholders"
    assert (await ask(f"{path}=false")).body == b"server_name ${nginx.name};\n"
    assert (await ask(f"{path}=maybe")).status == 400


@pytest.mark.case(76)
async def test_what_is_missing_is_404(ask: Any, root: Path) -> None:
    (root / "main/directory").mkdir()
    for path in ("none.txt", "directory", "nginx.conf/x", "orders-default.yml"):
        answer = await ask(f"/config/orders/default/main/{path}")
        assert (answer.status, answer.body) == (404, b"")
    assert (await ask("/config/orders/default/nolabel/nginx.conf")).status == 404


@pytest.mark.case(77)
async def test_what_the_client_has_is_not_sent_again(ask: Any, write: Write) -> None:
    write("main/plain.conf", "no placeholder\n")
    path = "/config/orders/default/main/plain.conf"
    first = await ask(path)
    for headers in (
        {"If-Modified-Since": first.headers["last-modified"]},
        {"If-None-Match": first.headers["etag"]},
        {"If-None-Match": first.headers["etag"], "If-Modified-Since": "nonsense"},
    ):
        answer = await ask(path, headers=headers)
        assert (answer.status, answer.body) == (304, b"")
    for headers in (
        {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"},
        {"If-Modified-Since": "nonsense"},
        {"If-None-Match": '"x"', "If-Modified-Since": first.headers["last-modified"]},
    ):
        assert (await ask(path, headers=headers)).status == 200
    head = await ask(path, method="HEAD")
    assert (head.status, head.body) == (200, b"")


async def test_only_the_tag_tells_whether_a_file_with_placeholders_is_the_same(
    ask: Any, write: Write
) -> None:
    path = "/config/orders/default/main/nginx.conf"
    future = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    first = await ask(path)
    assert "last-modified" not in first.headers
    assert (await ask(path, headers={"If-None-Match": first.headers["etag"]})).status == 304
    write("main/orders-default.yaml", "nginx: {name: other.example.com}\n")
    # the file has not changed, what it says has
    for headers in (future, {"If-None-Match": first.headers["etag"]}):
        answer = await ask(path, headers=headers | {"Cache-Control": "no-cache"})
        assert (answer.status, answer.body) == (200, b"server_name other.example.com;\n")
    write("main/orders-default.yaml", "other: 1\n")  # nothing fills the placeholder now
    fresh = future | {"Cache-Control": "no-cache"}
    assert (await ask(path, headers=fresh)).status == 200
    for unfilled in ("?resolvePlaceholders=false", ""):
        accept = {} if unfilled else OCTETS
        answer = await ask(path + unfilled, headers=fresh | accept)
        assert (answer.status, "last-modified" in answer.headers) == (304, True)


@pytest.mark.case(78)
async def test_paths_may_be_nested_and_hold_blanks(ask: Any, write: Write) -> None:
    write("main/conf/d/x.txt", "nested")
    write("main/conf/two words.txt", "blank")
    write("main/conf.d/site-dev", "no extension")
    write("feature/x/x.txt", "feature")
    assert (await ask("/config/orders/default/main/conf/d/x.txt")).body == b"nested"
    assert (await ask("/config/orders/default/main/conf/two%20words.txt")).body == b"blank"
    assert (await ask("/config/orders/dev/main/conf.d/site")).body == b"no extension"
    assert (await ask("/config/orders/default/feature(_)x/x.txt")).body == b"feature"
    assert (await ask("/config/key/default/feature%2Fx/x.txt")).body == b"feature"


@pytest.mark.parametrize(
    "path",
    [
        *("orders/default/main/..%2fx", "orders/default/main/%2e%2e/x", "orders/default/main/.env"),
        *("orders/default/main/a%5cb", "orders/default/main/a:b", "orders/default/main/%20a"),
        *("orders/default/main/a%2500b", "orders/default/main/" + "a/" * 600 + "a"),
        *(
            "or%23/default/main/nginx.conf",
            "orders/a,/main/nginx.conf",
            "orders/-a/main/nginx.conf",
        ),
        *("orders/default/ma%23in/nginx.conf", "orders/%2e%2e/main/nginx.conf"),
    ],
)
async def test_names_and_paths_are_checked(ask: Any, path: str) -> None:
    assert (await ask(f"/config/{path}")).status == 400
    assert (await ask(f"/config/{path}", headers=OCTETS)).status == 400


async def test_errors_of_the_documents_are_told_here_too(ask: Any, write: Write) -> None:
    write("main/orders-default.yaml", "a: [")
    assert (await ask("/config/orders/default/main/nginx.conf")).status == 500
    write("main/orders-default.yaml", "nginx: {name: '${nginx.name}'}")
    assert (await ask("/config/orders/default/main/nginx.conf")).status == 400


async def test_texts_are_decoded_as_the_client_says(ask: Any, root: Path) -> None:
    (root / "main/latin.txt").write_bytes("ü ${x:é}".encode("latin-1"))
    path = "/config/orders/default/main/latin.txt"
    answer = await ask(path, headers={"Accept-Charset": "nonsense, iso-8859-1;q=0.9"})
    assert answer.body.decode() == "ü é"
    (root / "main/latin.txt").write_bytes("ü +2AA- \\ud800 \\q".encode())
    for name in ("hex", "idna", "undefined", "unicode_escape", "utf-7", "a\0b", ";"):
        answer = await ask(path, headers={"Accept-Charset": name})
        assert (answer.status, answer.body) == (200, "ü +2AA- \\ud800 \\q".encode()), name


async def test_a_link_that_leaves_the_root_is_not_followed(ask: Any, root: Path) -> None:
    (root.parent / "marker.txt").write_text("marker", encoding="utf-8")
    (root / "main/link.txt").symlink_to(root.parent / "marker.txt")
    (root / "main/inside.txt").symlink_to("nginx.conf")
    answer = await ask("/config/orders/default/main/link.txt", headers=OCTETS)
    assert answer.status == 500
    assert b"marker" not in answer.body.replace(b"link.txt", b"")
    answer = await ask("/config/orders/default/main/inside.txt", headers=OCTETS)
    assert answer.body == b"server_name ${nginx.name};\n"


async def test_of_several_stores_and_labels_the_highest_has_the_file(
    root: Path, write: Write, serve: Callable[..., Any]
) -> None:
    memory = InMemoryConfigBackend()
    memory.put_resource("main", "nginx.conf", b"memory")
    memory.put_resource("main", "only.txt", b"only")
    write("rel/nginx.conf", "rel")
    ask = serve(FilesystemConfigBackend(root), memory)
    assert (await ask("/config/orders/default/main/nginx.conf")).body.startswith(b"server_name")
    assert (await ask("/config/orders/default/main/only.txt")).body == b"only"
    assert (await ask("/config/orders/default/main,rel/nginx.conf")).body == b"rel"
    assert (await ask("/config/orders/default/rel,main/only.txt")).body == b"only"
