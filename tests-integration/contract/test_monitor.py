"""`/monitor` of a real server: the names in its answers, and who may send to it."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

SECRET = "between-provider-and-server"
TOKEN = {"Authorization": "Bearer t"}
FORM = "application/x-www-form-urlencoded"
EVERYBODY = ["*"]

COMMITS = {
    "ref": "refs/heads/main",
    "commits": [
        {"id": "1", "added": ["orders.yml"], "removed": ["old-prod.yml"], "modified": []},
        {"id": "2", "added": [], "removed": [], "modified": ["a/billing-eu.yml", "orders.yml"]},
    ],
}
COMMITTED = ["orders", "old-prod", "old", "billing-eu", "billing"]
CLOUD = {"X-Hook-UUID": "{1}", "X-Request-UUID": "2"}
SERVER = {"X-Request-Id": "1"}


class Answer(NamedTuple):
    status: int
    content: Any


Send = Callable[..., Answer]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Any]) -> Any:
    root = tmp_path_factory.mktemp("root")
    (root / "main").mkdir()
    (root / "main" / "orders.yaml").write_text("a: 1\n", encoding="utf-8")
    return start_server(root, MONITOR_SECRET=SECRET, TOKEN="t", METRICS="true")


@pytest.fixture
def post(server: Any) -> Send:
    """Send a body to `/monitor`: an object as JSON, bytes as a form."""

    def send(body: object, headers: Mapping[str, str] = TOKEN, kind: str = "") -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = kind or (FORM if isinstance(body, bytes) else "application/json")
        answer = httpx.post(
            f"{server.url}/monitor",
            content=content,
            headers=[(b"Content-Type", kind.encode())]
            + [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            timeout=60,
        )
        return Answer(answer.status_code, answer.json())

    return send


def signature(body: object, secret: str = SECRET) -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return hmac.digest(secret.encode(), content, hashlib.sha256).hex()


# --- names --------------------------------------------------------------------------------


@pytest.mark.case(95)
@pytest.mark.parametrize(
    ("path", "names"),
    [
        pytest.param("foo.yml", ["foo"], id="application"),
        pytest.param(
            "foo-local-dev.yml", ["foo-local-dev", "foo-local", "foo"], id="every-reading"
        ),
        pytest.param("application-local.yml", ["application-local", "*"], id="shared"),
        pytest.param(
            ["/foo/bar.properties", "/application.properties"], ["bar", "*"], id="several"
        ),
        pytest.param("a\\b\\foo.yml", ["foo"], id="windows"),
        pytest.param("a.b.yml", ["a.b"], id="last-extension"),
        pytest.param(["foo.yml", "x/foo.json"], ["foo"], id="once"),
        pytest.param("foo", ["foo"], id="no-extension"),
        pytest.param(["", ".yml", "/"], [], id="no-name"),
        pytest.param([], [], id="no-path"),
    ],
)
def test_a_path_means_applications(post: Send, path: Any, names: list[str]) -> None:
    assert post({"path": path}) == (200, names)
    paths = path if isinstance(path, list) else [path]
    if paths:
        form = str(httpx.QueryParams([("path", one) for one in paths])).encode()
        assert post(form) == (200, names)


@pytest.mark.case(96)
def test_a_push_of_github_means_the_files_of_all_commits(post: Send) -> None:
    push = {**TOKEN, "X-GitHub-Event": "push"}
    assert post(COMMITS, push) == (200, COMMITTED)
    assert post({"zen": "Design for failure."}, {**TOKEN, "X-GitHub-Event": "ping"}) == (200, [])
    assert post({"commits": []}, push) == (200, [])
    assert post({"commits": [None, {"added": "x", "modified": [1]}, 2]}, push) == (200, [])
    assert post({**COMMITS, "path": "other.yml"}, push) == (200, COMMITTED)
    assert post({"commits": [], "path": "other.yml"}, push) == (200, ["other"])


@pytest.mark.case(97)
@pytest.mark.parametrize(
    ("headers", "body", "names"),
    [
        pytest.param({"X-Gitlab-Event": "Push Hook"}, COMMITS, COMMITTED, id="gitlab"),
        pytest.param({"X-Gitlab-Event": "Tag Push Hook"}, COMMITS, [], id="gitlab-tag"),
        pytest.param({"X-Gogs-Event": "push"}, COMMITS, COMMITTED, id="gogs"),
        pytest.param({"x-git-oschina-event": "Push Hook"}, COMMITS, COMMITTED, id="gitee"),
        pytest.param({"X-Gitea-Event": "push"}, COMMITS, EVERYBODY, id="gitea"),
        pytest.param({"X-Gitea-Event": "push"}, {}, [], id="gitea-without-commits"),
        pytest.param(
            {"X-Gitea-Event": "push", "X-Gogs-Event": "push", "X-GitHub-Event": "push"},
            COMMITS,
            COMMITTED,
            id="gitea-as-it-sends",
        ),
        *(
            pytest.param({"X-Event-Key": event, **CLOUD}, body, names, id=f"cloud-{name}")
            for name, event, body, names in (
                ("push", "repo:push", {"push": {"changes": [{}]}}, EVERYBODY),
                ("merge", "pullrequest:fulfilled", {"push": {"changes": []}}, EVERYBODY),
                ("fork", "repo:fork", {"push": {"changes": [{}]}}, []),
                ("other-body", "repo:push", {"push": []}, []),
            )
        ),
        *(
            pytest.param({"X-Event-Key": event, **SERVER}, body, names, id=f"server-{name}")
            for name, event, body, names in (
                ("push", "repo:refs_changed", {"changes": [{}]}, EVERYBODY),
                ("merge", "pr:merged", {"pullRequest": {}}, EVERYBODY),
                ("other-body", "repo:refs_changed", {"changes": {}}, []),
                ("opened", "pr:opened", {"changes": [{}]}, []),
            )
        ),
        pytest.param({"X-Event-Key": "pr:merged"}, {}, [], id="server-without-id"),
        pytest.param({}, COMMITS, [], id="no-provider"),
    ],
)
def test_a_push_means_what_its_provider_says(
    post: Send, headers: dict[str, str], body: Any, names: list[str]
) -> None:
    assert post(body, {**TOKEN, **headers}) == (200, names)


def test_a_push_beyond_the_limits_means_everything(post: Send) -> None:
    headers = {**TOKEN, "X-GitHub-Event": "push"}
    for paths in (["x.yml"] * 1_001, ["x" * 513], ["x" + "-" * 16]):
        assert post({"commits": [{"added": paths}]}, headers) == (200, EVERYBODY)
    most = [f"a/{n}.yml" for n in range(1_000)]
    assert post({"commits": [{"added": most}]}, headers) == (200, [f"{n}" for n in range(1_000)])


# --- who may ------------------------------------------------------------------------------


def signed(name: str, body: object) -> dict[str, str]:
    """Return the headers that a provider sends with a body."""
    digits = signature(body)
    stamped = hmac.digest(SECRET.encode(), f"1700000000000\n{SECRET}".encode(), hashlib.sha256)
    return {
        "github": {"X-Hub-Signature-256": f"sha256={digits}", "X-Hub-Signature": "sha1=00"},
        "gitlab": {"X-Gitlab-Token": SECRET},
        "gitea": {"X-Gitea-Signature": digits},
        "gogs": {"X-Gogs-Signature": digits},
        "bitbucket": {"X-Hub-Signature": f"sha256={digits}"},
        "gitee": {"X-Gitee-Token": SECRET},
        "gitee-signed": {
            "X-Gitee-Token": base64.b64encode(stamped).decode(),
            "X-Gitee-Timestamp": "1700000000000",
        },
    }[name]


PROVIDERS = ["github", "gitlab", "gitea", "gogs", "bitbucket", "gitee", "gitee-signed"]


@pytest.mark.case("S16")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_signature_of_a_provider_opens_and_a_wrong_one_does_not(
    post: Send, provider: str
) -> None:
    body = {"path": "foo.yml"}
    headers = signed(provider, body)
    assert post(body, headers) == (200, ["foo"])
    assert post({**body, "x": 1}, headers).status == (
        200 if provider in {"gitlab", "gitee", "gitee-signed"} else 403  # which sign no body
    )
    name, value = next(iter(headers.items()))
    for wrong in (value[:-1], value + "0", value.swapcase(), "", "sha256=", "sha256=\xe9"):
        assert post(body, {**headers, name: wrong}).status == 403, wrong


@pytest.mark.case("S16")
def test_nobody_else_is_let_in(post: Send) -> None:
    body = {"path": "foo.yml"}
    for headers in (
        {},
        {"X-GitHub-Event": "push"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {SECRET}"},
        {"X-Gitlab-Token": "t"},
        {"X-Hub-Signature": "sha1=" + hmac.digest(SECRET.encode(), b"{}", "sha1").hex()},
        {"X-Hub-Signature-256": "sha256=" + signature(body, "another secret")},
        {"X-Hub-Signature-256": signature(body)},
    ):
        status, content = post(body, headers)
        assert status == 403
        assert SECRET not in json.dumps(content)
    assert post(body, {"Authorization": "Bearer wrong", "X-Gitlab-Token": SECRET}).status == 200


@pytest.mark.case("S16")
def test_a_large_body_is_refused(post: Send) -> None:
    size = 5 * 1_048_576
    large = b'{"path":"' + b"x" * size + b'"}'
    kind = "application/json"
    assert post(large, TOKEN, kind).status == 413
    assert post(large, {"X-Gitlab-Token": SECRET}, kind).status == 413
    assert post({"path": ["a"] * 100_000}).status == 400
    assert post(b"&".join([b"path=a"] * 100_000)).status == 400
    assert post({"path": "-" * 50_000}).status == 400
    assert post({"path": "a" + "-" * 16}).status == 400
    assert post({"path": ["a"] * 1_000}) == (200, ["a"])


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="no-json"),
        pytest.param(b"\xff", "application/json", 400, id="no-utf-8"),
        pytest.param(b"[]", "application/json", 400, id="no-object"),
        pytest.param(b"", "application/json", 400, id="empty"),
        pytest.param(b'{"a":' + b"[" * 100_000, "application/json", 400, id="deep"),
        pytest.param(b'{"path": 1}', "application/json", 400, id="no-text"),
        pytest.param(b'{"path": [1]}', "application/json", 400, id="no-texts"),
        pytest.param(b"payload=%7B%7D", FORM, 400, id="form-without-path"),
        pytest.param(b"", FORM, 400, id="empty-form"),
        pytest.param(b"path=%ff", FORM, 200, id="form-that-is-not-utf-8"),
        pytest.param(b"path=x", "text/plain", 415, id="another-type"),
    ],
)
def test_wrong_input_is_an_error(post: Send, body: bytes, kind: str, status: int) -> None:
    assert post(body, TOKEN, kind).status == status


def test_without_a_secret_and_a_credential_nobody_is_let_in(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "main").mkdir()
    url = start_server(tmp_path).url + "/monitor"
    for headers in ({}, TOKEN, {"X-Gitlab-Token": ""}, {"X-Hub-Signature-256": signature({})}):
        assert httpx.post(url, json={}, headers=headers).status_code == 403


def test_other_methods_are_refused_and_requests_are_counted(server: Any, post: Send) -> None:
    refused = httpx.get(f"{server.url}/monitor")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST, OPTIONS")
    assert httpx.post(f"{server.url}/config/monitor", headers=TOKEN).status_code == 404
    assert post({"path": "foo.yml"}).status == 200
    page = httpx.get(f"{server.url}/metrics", headers=TOKEN).text
    pattern = r'pyfly_config_http_requests_total\{route="monitor",status="200"\} [1-9]'
    assert re.search(pattern, page), page
