"""Case 28, and repositories of Spring mounted as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import ConfigServer, FilesystemConfigBackend, open_backend
from pyfly.config_server.files import SpringLayout

pytestmark = pytest.mark.anyio

Write = Callable[[str, str], Path]


async def names(ask: Any, path: str) -> list[str]:
    answer = await ask(path)
    assert answer.status == 200, answer.body
    return [source["name"] for source in answer.json["propertySources"]]


@pytest.mark.case(28)
async def test_files_without_a_profile_come_after_the_default_profile(
    fx_a: None, write: Write, ask: Any
) -> None:
    write("main/orders.yaml", "who: base\nonly: orders\n")
    write("main/application.yaml", "who: shared base\n")
    assert await names(ask, "/config/orders/prod") == [
        "main/orders-prod.yaml",
        "main/application-prod.yaml",
        "main/orders-default.yaml",
        "main/application-default.yaml",
        "main/orders.yaml",
        "main/application.yaml",
    ]
    assert (await ask("/config/orders-prod.json")).json == {"who": "orders-prod", "only": "orders"}
    assert (await names(ask, "/config/application/default"))[-1:] == ["main/application.yaml"]


async def test_documents_of_a_base_file_have_conditions(write: Write, ask: Any) -> None:
    write("main/orders.yml", "a: 1\n---\nspring.config.activate.on-profile: eu\na: 2\n")
    assert await names(ask, "/config/orders/prod") == ["main/orders.yml (document #0)"]
    assert await names(ask, "/config/orders/eu") == [
        "main/orders.yml (document #1)",
        "main/orders.yml (document #0)",
    ]


async def test_properties_files_are_bundles(write: Write, ask: Any) -> None:
    write("main/orders.properties", "db.url=x\nport=80\n")
    write("main/orders-prod.properties", "port=81\nlist[0]=a\n")
    document = (await ask("/config/orders/prod")).json
    assert [(s["name"], s["source"]) for s in document["propertySources"]] == [
        ("main/orders-prod.properties", {"port": "81", "list[0]": "a"}),
        ("main/orders.properties", {"db.url": "x", "port": "80"}),
    ]
    rows = (await ask("/config/_bundles")).json["bundles"]
    assert [(row["application"], row["profile"]) for row in rows] == [
        ("orders", "-"),
        ("orders", "prod"),
    ]


async def test_a_flat_directory_is_the_default_label(
    root: Path, write: Write, serve: Callable[..., Any]
) -> None:
    write("application.yml", "who: shared\n")
    write("orders-prod.yml", "who: prod\n")
    write("sub/orders-prod.yml", "who: hidden\n")
    ask = serve(open_backend(f"{root.as_uri()}?layout=spring&profiles=prod,eu"))
    for path in ("/config/orders/prod", "/config/orders/prod/main"):
        assert await names(ask, path) == ["main/orders-prod.yml", "main/application.yml"]
    assert (await ask("/config/orders/prod/sub")).status == 404
    rows = (await ask("/config/_bundles")).json["bundles"]
    assert [(row["application"], row["profile"], row["label"]) for row in rows] == [
        ("application", "-", "main"),
        ("orders", "prod", "main"),
    ]


@pytest.mark.parametrize(
    ("profiles", "stems"),
    [
        ("default", "orders-default application-default orders application"),
        ("prod", "orders-prod application-prod orders application"),
        ("nosuch", "orders application"),
        (
            "default,prod",
            "orders-prod application-prod orders-default application-default orders application",
        ),
        (
            "prod,default",
            "orders-default application-default orders-prod application-prod orders application",
        ),
    ],
)
async def test_in_a_flat_directory_files_of_the_default_profile_count_when_it_is_asked_for(
    root: Path, write: Write, serve: Callable[..., Any], profiles: str, stems: str
) -> None:
    for application in ("orders", "application"):
        for part in ("", "-default", "-prod"):
            write(f"{application}{part}.yml", f"who: {application}{part}\n")
    ask = serve(open_backend(f"{root.as_uri()}?layout=spring"))
    expected = stems.split()
    assert await names(ask, f"/config/orders/{profiles}") == [f"main/{s}.yml" for s in expected]
    assert (await ask(f"/config/orders-{profiles}.json")).json == {"who": expected[0]}
    rows = (await ask("/config/_bundles")).json["bundles"]
    assert ("orders", "default") in [(row["application"], row["profile"]) for row in rows]


async def test_in_a_flat_directory_the_setting_for_the_default_profile_is_for_plain_files_only(
    root: Path, write: Write, serve: Callable[..., Any]
) -> None:
    write("orders-common.yml", "who: common\n")
    write("page-common.txt", "common")
    write("page.txt", "plain")
    ask = serve(open_backend(f"{root.as_uri()}?layout=spring"), default_profile="common")
    assert await names(ask, "/config/orders/prod") == []
    assert await names(ask, "/config/orders/common") == ["main/orders-common.yml"]
    assert (await ask("/config/orders/common/main/page.txt")).body == b"plain"


async def test_a_condition_for_the_default_profile_holds_when_it_is_asked_for(
    root: Path, write: Write, serve: Callable[..., Any]
) -> None:
    document = "---\nspring.config.activate.on-profile: default\na: 2\n"
    write("orders.yml", f"a: 1\n{document}")
    write("orders-default.yml", f"a: 3\n{document}")
    ask = serve(open_backend(f"{root.as_uri()}?layout=spring"))
    assert await names(ask, "/config/orders/prod") == ["main/orders.yml (document #0)"]
    assert await names(ask, "/config/orders/prod,default") == [
        "main/orders-default.yml (document #1)",
        "main/orders-default.yml (document #0)",
        "main/orders.yml (document #1)",
        "main/orders.yml (document #0)",
    ]


@pytest.mark.parametrize(
    ("request_path", "stems"),
    [
        ("application-x/y,x", "application-y application-x application"),
        ("application-y,application-x/x", "application-x application-y application"),
        ("a-b/b", "a-b application"),
        ("a-b,a/b", "a a-b application"),
        ("a-b,a/c,b-c", "a-c a-b-c a a-b application"),
        ("a,a-b/b-c,b", "a-b-c a-b a application"),
        ("a-b-c,a-b,a/b-c,c", "a-c a a-b a-b-c application"),
    ],
)
@pytest.mark.parametrize("layout", ["flat", "labels"])
async def test_a_file_in_several_roles_counts_in_the_lowest(
    root: Path,
    write: Write,
    serve: Callable[..., Any],
    layout: str,
    request_path: str,
    stems: str,
) -> None:
    for stem in ("application", "application-x", "application-y", "a", "a-b", "a-b-c", "a-c"):
        for directory in ("", "main/"):
            write(f"{directory}{stem}.yml", f"n: 1\n---\nwho: {stem}\n")
    ask = serve(open_backend(f"{root.as_uri()}?layout={layout}"))
    assert await names(ask, f"/config/{request_path}") == [
        f"main/{stem}.yml (document #{number})" for stem in stems.split() for number in (1, 0)
    ]


async def test_a_file_in_several_roles_is_counted_once(
    write: Write, serve: Callable[..., Any], root: Path
) -> None:
    """Thrice it would be more properties than an answer may have."""
    write("a-b-c.yml", "".join(f"k{number}: 1\n" for number in range(15_000)))
    ask = serve(open_backend(f"{root.as_uri()}?layout=spring"))
    assert await names(ask, "/config/a,a-b,a-b-c/b-c,c") == ["main/a-b-c.yml"]


async def test_a_flat_directory_may_have_another_label_and_is_written(
    root: Path, write: Write, serve: Callable[..., Any]
) -> None:
    write("orders-prod.yml", "who: prod\n")
    backend = open_backend(f"{root.as_uri()}?layout=spring&label=release")
    server = ConfigServer(backend, default_label="release")
    await server.save("orders", "prod", {"who": "new"})
    await server.save("billing", "prod", {"who": "billing"})
    assert (root / "orders-prod.yml").read_text(encoding="utf-8") == "who: new\n"
    assert sorted(path.name for path in root.iterdir()) == ["billing-prod.yml", "orders-prod.yml"]
    ask = serve(backend, default_label="release")
    assert await names(ask, "/config/orders/prod") == ["release/orders-prod.yml"]
    with pytest.raises(ValueError, match="only the label 'release'"):
        await server.save("orders", "prod", {"who": "x"}, "main")


async def test_links_inside_a_flat_directory_are_followed_and_others_are_not(
    root: Path, write: Write, serve: Callable[..., Any]
) -> None:
    write("data/real.yml", "who: real\n")
    (root / "orders-prod.yml").symlink_to("data/real.yml")
    (root.parent / "marker.yml").write_text("who: marker\n", encoding="utf-8")
    (root / "billing-prod.yml").symlink_to(root.parent / "marker.yml")
    (root / "billing.yml").symlink_to(root.parent / "marker.yml")
    ask = serve(FilesystemConfigBackend(root, layout=SpringLayout()))
    assert (await ask("/config/orders-prod.json")).json == {"who": "real"}
    for path in ("/config/billing/prod", "/config/billing/default"):
        answer = await ask(path)
        assert answer.status == 500
        assert "who" not in answer.body.decode()
