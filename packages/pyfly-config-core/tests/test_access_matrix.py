"""Every principal at every endpoint with every kind of name.

The requests are made from the endpoint table, so a new endpoint is in the matrix by itself. What is
allowed is decided here a second time, from a table of names, without patterns. Every stored value
is a canary that names its bundle, so that a leak shows itself in any answer.
"""

import asyncio
import base64
import itertools
import json
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import ConfigKey
from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    Controller,
    FilesystemConfigBackend,
    HealthSettings,
    HttpRequest,
    InMemoryConfigBackend,
    LiveOptions,
    Principal,
    Right,
    Rule,
)
from pyfly.config_server.files.layouts import SpringLayout
from pyfly.config_server.http.authentication import unauthorized
from pyfly.config_server.http.endpoint import Audience, Endpoint, Root
from pyfly.config_server.http.endpoints import ENDPOINTS
from pyfly.config_server.storage import ConfigSource

# --- what is stored -----------------------------------------------------------------------

BUNDLES = [
    ("orders", "prod", "main"),
    ("orders", "dev", "main"),
    ("orders", "-", "main"),
    ("orders", "prod", "feature/x"),
    ("billing", "prod", "main"),
    ("billing", "prod", "feature/x"),
    ("orders-service", "prod", "main"),
    ("application", "prod", "main"),
]
FILES = [
    ("main", "orders/own.txt"),
    ("main", "billing/foreign.txt"),
    ("main", "orders/filled.txt"),
    ("feature/x", "orders/own.txt"),
]
FILLED = "${canary-orders-prod-main.value}"


def canary(*names: str) -> str:
    return "canary-" + "-".join(names).replace("/", "_")


def tree_of(names: tuple[str, str, str]) -> dict[str, Any]:
    return {canary(*names): {"value": "secret of " + canary(*names)}}


# --- who asks -----------------------------------------------------------------------------

ALL = ["read", "inspect", "write"]
PRINCIPALS = {
    "admin": [Rule.everything()],
    "orders": [
        Rule.parse(rights=ALL, on="orders/*/*"),
        Rule.parse(rights=["files"], on="*/*/*", files="orders/**"),
        Rule.parse(rights=["files"], on="*/*/*", files="*.y*ml"),
    ],
    "narrow": [
        Rule.parse(rights=[*ALL, "files"], on="orders/prod/main", files="orders/own.txt"),
    ],
    "service": [Rule.parse(rights=ALL, on="orders-service/*/*")],
    "filer": [Rule.parse(rights=["files"], on="*/*/*", files="**")],
    "shared": [Rule.parse(rights=ALL, on="application/*/*")],
    "nobody": [],
}


def covers(principal: str, application: str, profile: str, label: str) -> bool:
    """Return what the rules above say about bundles, in other words."""
    match principal:
        case "admin":
            return True
        case "orders":
            return application == "orders"
        case "narrow":
            return (application, profile, label) == ("orders", "prod", "main")
        case "service":
            return application == "orders-service"
        case "shared":
            return application == "application"
        case _:
            return False


def covers_file(principal: str, label: str, path: str) -> bool:
    match principal:
        case "admin" | "filer":
            return True
        case "orders":
            return path.startswith("orders/") or ("/" not in path and path[-3:] in {"yml", "aml"})
        case "narrow":
            return (label, path) == ("main", "orders/own.txt")
        case _:
            return False


class Badges:
    """Knows the principals above by their names, until a test takes one away."""

    scheme = "bearer"

    def __init__(self) -> None:
        self.principals = {
            f"Bearer {name}".encode(): Principal(name=name, rules=tuple(rules))
            for name, rules in PRINCIPALS.items()
        }

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        return self.principals.get(authorization or b"")

    async def authenticate(self, request: HttpRequest) -> Principal:
        found = self.principal_of(request.header(b"authorization"))
        if found is None:
            raise unauthorized(b"Bearer")
        return found


# --- what is asked for --------------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """The names of a request."""

    applications: str = "orders"
    profiles: str = "prod"
    label: str = "main"
    path: str = "orders/own.txt"
    also: tuple[tuple[str, str, str], ...] = ()
    """Bundles of others whose files are opened by these names, in stores of files."""
    in_spring: tuple[tuple[str, str, str], ...] = ()
    """The same in the layout of Spring, where `orders-service.yml` is a guess."""


NAMES = [
    Names(),
    Names(profiles="dev"),
    Names(profiles="dev,prod"),
    Names(label="feature/x"),
    Names(label="main,feature/x"),
    Names(applications="billing", path="billing/foreign.txt"),
    Names(applications="billing", profiles="absent", path="billing/absent.txt"),
    Names(applications="absent", path="absent.txt"),
    Names(applications="orders,billing", path="orders/filled.txt"),
    Names(applications="billing,orders"),
    Names(applications="application,orders"),
    Names(applications="orders,application"),
    Names(applications="application,billing"),
    Names(applications="application"),
    Names(applications="orders-service", in_spring=(("orders", "service", "main"),)),
    Names(profiles="service", in_spring=(("orders-service", "-", "main"),)),
    Names(profiles="service-prod", also=(("orders-service", "prod", "main"),)),
    Names(applications="billing", label="feature/x", path="orders/own.txt"),
    Names(path="orders-prod.yml"),
    Names(path="billing-prod.yml"),
    Names(applications="Orders"),
]
WORDS = {"extension": "yml", "version": "1"}


@dataclass(frozen=True)
class Asked:
    """A request, and what it is about."""

    endpoint: Endpoint
    names: Names
    target: str

    def __str__(self) -> str:
        return f"{self.endpoint.method} {self.target}"


def requests() -> Iterator[Asked]:
    for endpoint, names in itertools.product(ENDPOINTS, NAMES):
        words = WORDS | {
            "name": names.applications,
            "application": names.applications,
            "profiles": names.profiles,
            "profile": names.profiles,
            "label": names.label.replace("/", "(_)"),
            "path": names.path,
        }
        lists = "," in names.applications + names.profiles + names.label
        if "{application}" in endpoint.path and lists:
            continue  # refused for everybody
        if "{name}-{profiles}" in endpoint.path and "-" in names.profiles:
            continue  # means something else there
        if "{label}" not in endpoint.path:
            names = replace(names, label="main")  # noqa: PLW2901
        if endpoint.selector:  # it takes one part
            names = replace(names, path=names.path.rpartition("/")[2])  # noqa: PLW2901
            words["path"] = names.path
        path = endpoint.path
        for parameter in re.findall(r"\{(\w+)\}", path):
            path = path.replace(f"{{{parameter}}}", words[parameter])
        base = "/config" if endpoint.root is Root.BASE_PATH else ""
        query = f"?{endpoint.selector}" if endpoint.selector else ""
        yield Asked(endpoint=endpoint, names=names, target=base + path + query)


def split(names: Names) -> Iterator[tuple[str, str, str]]:
    yield from itertools.product(
        names.applications.split(","), names.profiles.split(","), names.label.split(",")
    )


def is_allowed(principal: str, asked: Asked, store: str) -> bool:
    """Return what the matrix demands."""
    endpoint, names = asked.endpoint, asked.names
    if isinstance(endpoint.access, Audience):
        return endpoint.access is not Audience.WEBHOOK or principal == "admin"
    if endpoint.access in {Right.ENCRYPT, Right.DECRYPT, Right.OPERATE}:
        return principal == "admin"
    also = names.also if store != "memory" else ()
    if store == "spring" and (endpoint.access is Right.READ or names.profiles == "service"):
        also = (*also, *names.in_spring)
    if endpoint.access is Right.READ:
        needed = [one for one in split(names) if one[0] != "application"] or [*split(names)]
        return all(covers(principal, *one) for one in (*needed, *also))
    if endpoint.access is Right.FILES:
        return all(covers_file(principal, one, names.path) for one in names.label.split(",")) and (
            names.path != "orders/filled.txt"
            or all(covers(principal, *one) for one in split(names))
        )
    if "{application}" not in endpoint.path:  # a listing: those who may inspect anything
        return principal not in {"nobody", "filer"}
    return all(covers(principal, *one) for one in (*split(names), *also))


def opened_bundles(asked: Asked) -> list[tuple[str, str, str]]:
    """Return the bundle that a request opens as a plain file."""
    path, label = asked.names.path, asked.names.label
    if asked.endpoint.access is not Right.FILES or "/" in path or not path.endswith(".yml"):
        return []
    application, _, profile = path.removesuffix(".yml").rpartition("-")
    return [(application, profile, one) for one in label.split(",")]


# --- where it is stored -------------------------------------------------------------------


async def in_memory(root: Path) -> InMemoryConfigBackend:
    del root
    store = InMemoryConfigBackend()
    for application, profile, label in BUNDLES:
        await store.save(
            ConfigSource(
                application=application,
                profile=profile,
                label=label,
                properties=tree_of((application, profile, label)),
            )
        )
    for label, path in FILES:
        text = FILLED if path.endswith("filled.txt") else canary(label, path)
        store.put_resource(label, path, text.encode())
    return store


def write_files(root: Path, *, has_labels: bool) -> None:
    for application, profile, label in BUNDLES:
        if has_labels or label == "main":
            stem = application if profile == "-" else f"{application}-{profile}"
            file = root / (label if has_labels else "") / f"{stem}.yml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(tree_of((application, profile, label))), encoding="utf-8")
    for label, path in FILES:
        if has_labels or label == "main":
            file = root / (label if has_labels else "") / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                FILLED if path.endswith("filled.txt") else canary(label, path), encoding="utf-8"
            )


async def in_labels(root: Path) -> FilesystemConfigBackend:
    write_files(root, has_labels=True)
    return FilesystemConfigBackend(root)


async def in_spring(root: Path) -> FilesystemConfigBackend:
    write_files(root, has_labels=False)
    (root / "orders-service.yml").write_text("a: 1\n", encoding="utf-8")
    return FilesystemConfigBackend(root, layout=SpringLayout(profiles=frozenset({"prod"})))


STORES = {"memory": in_memory, "labels": in_labels, "spring": in_spring}


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Served:
    """A server, asked as an ASGI application."""

    def __init__(self, server: ConfigServer, badges: Badges, live: LiveOptions | None) -> None:
        self.badges = badges
        self.app = ConfigServerApp(server, auth=badges, health=HealthSettings(), live=live)
        self.store = server.bundles.backend
        self.entries = server.bundles.entries

    async def ask(self, principal: str, target: str, method: str = "GET", **headers: str) -> Answer:
        path, _, query = target.partition("?")
        sent: list[Any] = []

        async def receive() -> Any:
            if method == "GET":
                await asyncio.sleep(60)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        fields = {"authorization": f"Bearer {principal}", "host": "localhost", **headers}
        await self.app(
            {
                "type": "http",
                "method": method,
                "path": path,
                "raw_path": path.encode(),
                "root_path": "",
                "query_string": query.encode(),
                "headers": [
                    (name.replace("_", "-").encode(), text.encode())
                    for name, text in fields.items()
                ],
            },
            receive,
            send,
        )
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), body)


@asynccontextmanager
async def served(root: Path, store: str, *, live: LiveOptions | None) -> AsyncGenerator[Served]:
    server = ConfigServer(await STORES[store](root))
    async with server:
        asks = Served(server, Badges(), live)
        async with asks.app:
            yield asks


pytestmark = pytest.mark.anyio
MODES = {"live": LiveOptions(), "plain": None}
stores = pytest.mark.parametrize("store", STORES)


# --- the matrix ---------------------------------------------------------------------------


@stores
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.slow
async def test_the_matrix(tmp_path: Path, store: str, mode: str) -> None:
    has_files = store != "memory"
    wrong: list[str] = []
    async with served(tmp_path, store, live=MODES[mode]) as server:
        before = [str(one.key) async for one in server.entries()]
        for asked in requests():
            if store == "spring" and "feature/x" in asked.names.label:
                continue  # there is one label
            method = asked.endpoint.method
            # twice: then an answer of the live layer is ready for whoever may have it
            whole = [await server.ask("admin", asked.target, method) for _ in range(2)][1]
            tag = whole.headers.get(b"etag", b'"x"').decode()
            for principal in PRINCIPALS:
                allowed = is_allowed(principal, asked, store) and (
                    not (has_files and whole.status == 200)
                    or all(covers(principal, *one) for one in opened_bundles(asked))
                )
                asks = [(method, {})]
                if method == "GET":
                    asks += [("HEAD", {}), ("GET", {"if_none_match": tag})]
                for verb, condition in asks:
                    got = await server.ask(principal, asked.target, verb, **condition)
                    if (got.status == 403) is allowed:
                        wrong.append(f"{principal}: {verb} {asked.target}: {got.status}")
                    wrong += leaks(principal, asked, got, whole)
        after = [str(one.key) async for one in server.entries()]
    assert not wrong, "\n".join(wrong[:100])
    assert before == after


def leaks(principal: str, asked: Asked, got: Answer, whole: Answer) -> Iterator[str]:
    """Yield what an answer tells that the principal may not know."""
    if got.status == 403:
        if b"etag" in got.headers or re.search(
            rb"canary|x-config", got.body + repr(got.headers).encode()
        ):
            yield f"{principal}: {asked}: {got}"
        for names in NAMES:
            for application in names.applications.split(","):
                foreign = application.encode() not in asked.target.encode()
                if (
                    foreign
                    and application not in {"orders", "application"}
                    and (application.encode() in got.body)
                ):
                    yield f"{principal}: {asked}: names {application}"
    is_document = asked.endpoint.access in {Right.READ, Right.FILES}
    if got.status == 200 and got.body and is_document and got.body != whole.body:
        yield f"{principal}: {asked}: another document"
    if principal == "orders" and re.search(rb"canary-(billing|orders-service)", got.body):
        yield f"{principal}: {asked}: {got.body!r}"


@stores
async def test_what_is_missing_looks_like_what_is_forbidden(tmp_path: Path, store: str) -> None:
    pairs = [
        ("/config/billing/prod", "/config/absentx/prod"),
        ("/config/billing-prod.yml", "/config/absentx-prod.yml"),
        ("/config/_bundles/billing/prod/main", "/config/_bundles/absentx/prod/main"),
        (
            "/config/_bundles/billing/prod/main/history",
            "/config/_bundles/absentx/prod/main/history",
        ),
        (
            "/config/billing/prod/main/billing/foreign.txt",
            "/config/absentx/prod/main/billing/absentxx",
        ),
        ("/config/billing/prod/main", "/config/billing/prod/absentx"),
    ]
    async with served(tmp_path, store, live=LiveOptions()) as server:
        for there, absent in pairs:
            one, two = await server.ask("orders", there), await server.ask("orders", absent)
            assert one.status == two.status == 403, (there, one, two)
            assert masked(one.body) == masked(two.body)


def masked(body: bytes) -> bytes:
    body = re.sub(rb'"timestamp":"[^"]*"', b"", body)
    return re.sub(rb"billing/foreign.txt|billing/absentxx|billing|absentx|main", b"NAME", body)


# --- listings -----------------------------------------------------------------------------


@stores
@pytest.mark.parametrize("limit", ["1", "2", "100"])
async def test_a_listing_has_the_rows_that_one_may_see(
    tmp_path: Path, store: str, limit: str
) -> None:
    async with served(tmp_path, store, live=LiveOptions()) as server:
        everything = await all_rows(server, "admin", limit)
        for principal in PRINCIPALS:
            if principal in {"nobody", "filer"}:
                assert (await server.ask(principal, "/config/_bundles")).status == 403
                continue
            wanted = [row for row in everything if covers(principal, *row)]
            assert await all_rows(server, principal, limit) == wanted
            tag = (await server.ask(principal, "/config/_bundles")).headers[b"etag"].decode()
            other = await server.ask("admin", "/config/_bundles", if_none_match=tag)
            assert other.status == (304 if wanted == everything else 200)


async def all_rows(server: Served, principal: str, limit: str) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    cursor = ""
    while True:
        answer = await server.ask(principal, f"/config/_bundles?limit={limit}{cursor}")
        page = json.loads(answer.body)
        rows += [(row["application"], row["profile"], row["label"]) for row in page["bundles"]]
        if page["next"] is None:
            return rows
        told = base64.urlsafe_b64decode(page["next"] + "==")
        key = ConfigKey(application=rows[-1][0], profile=rows[-1][1], label=rows[-1][2])
        assert key.application.encode() in told
        assert principal == "admin" or b"billing" not in told
        cursor = "&cursor=" + page["next"]


@stores
async def test_changes_name_what_one_may_see(tmp_path: Path, store: str) -> None:
    async with served(tmp_path, store, live=LiveOptions(max_staleness=0.2)) as server:
        seen: dict[str, set[str]] = {}
        cursors = {
            name: json.loads((await server.ask(name, "/config/_changes")).body)["cursor"]
            for name in ("admin", "orders", "service")
        }
        for application in ("billing", "orders", "orders-service"):
            await server.store.save(
                ConfigSource(application=application, profile="prod", properties={"n": 2})
            )
        for name, cursor in cursors.items():
            answer = await server.ask(name, f"/config/_changes?cursor={cursor}")
            changes = json.loads(answer.body)["changes"]
            seen[name] = {one.get("application") or one.get("path") for one in changes}
        assert {"billing", "orders", "orders-service"} <= seen["admin"]
        own = {"orders"} if store == "memory" else {"orders", "orders-prod.yml"}
        assert seen["orders"] - {None} == own
        assert seen["service"] - {None} == {"orders-service"}


# --- held requests ------------------------------------------------------------------------


async def test_a_change_that_one_may_not_see_ends_no_wait(tmp_path: Path) -> None:
    async with served(tmp_path, "memory", live=LiveOptions(max_staleness=0.2)) as server:
        first = json.loads((await server.ask("orders", "/config/_changes")).body)["cursor"]
        target = f"/config/_changes?cursor={first}"
        held = asyncio.ensure_future(server.ask("orders", target, prefer="wait=60"))
        for n in range(3):
            await server.store.save(
                ConfigSource(application="billing", profile="prod", properties={"n": n})
            )
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(held), 0.3)
        await server.store.save(
            ConfigSource(application="orders", profile="prod", properties={"n": 2})
        )
        got = json.loads((await asyncio.wait_for(held, 20)).body)
        assert [one["application"] for one in got["changes"]] == ["orders"]
        assert got["cursor"] != first


@stores
@pytest.mark.parametrize(
    "target", ["/config/orders/prod", "/config/orders-prod.yml", "/config/_changes?cursor="]
)
async def test_a_held_request_is_refused_when_its_right_is_gone(
    tmp_path: Path, store: str, target: str
) -> None:
    async with served(tmp_path, store, live=LiveOptions(max_staleness=0.2)) as server:
        if target.endswith("="):
            start = await server.ask("orders", "/config/_changes")
            target += json.loads(start.body)["cursor"]
        first = [await server.ask("orders", target) for _ in range(2)][1]
        tag = first.headers.get(b"etag", b"").decode()
        hold = {"if_none_match": tag} if tag else {}
        held = asyncio.ensure_future(server.ask("orders", target, prefer="wait=60", **hold))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(held), 0.2)
        server.badges.principals[b"Bearer orders"] = Principal(name="orders")
        await server.store.save(
            ConfigSource(application="orders", profile="prod", properties={"n": 2})
        )
        assert (await asyncio.wait_for(held, 20)).status == 403


async def test_a_foreign_tag_holds_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, "labels", live=LiveOptions()) as server:
        for target in ("/config/billing/prod", "/config/billing-prod.yml"):
            whole = [await server.ask("admin", target) for _ in range(2)][1]
            tag = whole.headers[b"etag"].decode()
            refused = server.ask("orders", target, prefer="wait=60", if_none_match=tag)
            assert (await asyncio.wait_for(refused, 20)).status == 403


async def test_a_new_rule_counts_for_the_next_request(tmp_path: Path) -> None:
    async with served(tmp_path, "labels", live=LiveOptions()) as server:
        badges, target = server.badges.principals, "/config/billing/prod"
        for _ in range(2):
            assert (await server.ask("admin", target)).status == 200
            assert (await server.ask("orders", target)).status == 403
            badges[b"Bearer orders"] = Principal(
                name="orders", rules=(Rule.parse(rights=["read"], on="billing/*/*"),)
            )
            for _ in range(3):
                assert (await server.ask("orders", target)).status == 200
            badges[b"Bearer orders"] = Principal(name="orders")
            for _ in range(3):
                assert (await server.ask("orders", target)).status == 403


async def test_a_patch_that_compares_values_needs_the_right_to_see_them() -> None:
    store = await in_memory(Path())
    writer = Principal(name="w", rules=(Rule.parse(rights=["write"], on="orders/*/*"),))
    badges = Badges()
    badges.principals[b"Bearer writer"] = writer
    controller = Controller(ConfigServer(store), auth=badges)

    async def patch(*operations: dict[str, Any]) -> int:
        async def read_body() -> bytes:
            return json.dumps(operations).encode()

        request = HttpRequest(
            method="PATCH",
            raw_path=b"/config/_bundles/orders/prod/main",
            headers=(
                (b"authorization", b"Bearer writer"),
                (b"if-match", b"*"),
                (b"content-type", b"application/json-patch+json"),
            ),
            read_body=read_body,
        )
        return (await controller.handle(request)).status

    guess = {"op": "test", "path": "/" + canary("orders", "prod", "main") + "/value", "value": "x"}
    change = {"op": "add", "path": "/n", "value": 1}
    assert await patch(change) == 200
    assert await patch(guess) == await patch(change, guess) == 403


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("live", MODES.values(), ids=MODES)
async def test_nobody_learns_by_a_plain_file_which_bundles_there_are(
    tmp_path: Path, live: LiveOptions | None, *, there: bool
) -> None:
    if there:
        (tmp_path / "main").mkdir()
        (tmp_path / "main/payroll-prod.yaml").write_text("a: ${b:${b}}\n", encoding="utf-8")
        (tmp_path / "main/payroll.yaml").write_text("a: 1\n", encoding="utf-8")
    asked = [
        "/config/orders/default/main/payroll-prod.yaml",
        "/config/payroll/prod/main/payroll.yaml",
        "/config/orders/default/main/payroll.yaml?resolvePlaceholders=false",
    ]
    async with served(tmp_path, "labels", live=live) as server:
        for target in asked:
            got = await server.ask("filer", target)
            file = target.partition("?")[0].removeprefix("/config/").split("/", 2)[2]
            assert got.status == 403
            expected = f"the right 'inspect' is missing on the bundle of the file {file}"
            assert json.loads(got.body)["message"] == expected
        assert (await server.ask("filer", "/config/orders/default/main/absent.txt")).status == 404


@pytest.mark.parametrize(
    ("files", "method", "key", "status"),
    [
        (["orders-service.yml"], "PUT", "orders/-/main", 403),
        (["orders-service.yml", "orders-x.yml"], "PUT", "orders/-/main", 403),
        (["application-eu.yml", "orders-eu.yml"], "PUT", "orders/-/main", 201),
        (["orders-service.yml", "orders.yml"], "PUT", "orders/-/main", 412),
        (["orders-eu.yml", "orders.yml"], "PUT", "orders/prod/main", 201),
        (["orders-eu.yml", "orders.yml"], "DELETE", "orders/-/main", 204),
        (["billing-eu.yml", "billing.yml", "orders-eu.yml"], "PUT", "orders/-/main", 201),
    ],
)
async def test_a_new_file_takes_no_file_from_others(
    tmp_path: Path, files: list[str], method: str, key: str, status: int
) -> None:
    for name in files:
        (tmp_path / name).write_text("a: 1\n", encoding="utf-8")
    store = FilesystemConfigBackend(tmp_path, layout=SpringLayout())

    async def read_body() -> bytes:
        return b'{"mine": 1}'

    condition = (b"if-none-match", b"*") if method == "PUT" else (b"if-match", b"*")
    request = HttpRequest(
        method=method,
        raw_path=f"/config/_bundles/{key}".encode(),
        headers=(
            (b"authorization", b"Bearer orders"),
            condition,
            (b"content-type", b"application/json"),
        ),
        read_body=read_body,
    )
    async with ConfigServer(store) as server:
        answer = await Controller(server, auth=Badges()).handle(request)
    assert answer.status == status
    if status == 403:
        assert not (tmp_path / "orders.yml").exists()
