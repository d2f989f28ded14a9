"""Request lines sent verbatim over a socket to a real server process.

A marker file lies one level above the root, and links to it lie inside. Whatever is asked, the
marker's text is in no answer.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MARKER = "marker-4b1d0f"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with good bundles, bad bundles and links that leave it."""
    above = tmp_path_factory.mktemp("above")
    (above / "marker").write_text(f"text: {MARKER}\n", encoding="utf-8")
    (above / "marker.yaml").write_text(f"text: {MARKER}\n", encoding="utf-8")
    outside = above / "outside"
    outside.mkdir()
    (outside / "orders-default.yaml").write_text(f"text: {MARKER}\n", encoding="utf-8")
    root = above / "root"
    main = root / "main"
    main.mkdir(parents=True)
    (main / "orders-default.yaml").write_text("home: ${HOME}\npath: ${PATH}\n", encoding="utf-8")
    (main / "linked-default.yaml").symlink_to(above / "marker.yaml")
    (main / "chained-default.yaml").symlink_to("linked-default.yaml")
    (main / "dangling-default.yaml").symlink_to(above / "nowhere.yaml")
    (main / "team").symlink_to(outside, target_is_directory=True)
    (root / "outside").symlink_to(outside, target_is_directory=True)
    (main / ".env").write_text(f"{MARKER}\n", encoding="utf-8")
    (main / ".git").mkdir()
    (main / ".git" / "config").write_text(f"{MARKER}\n", encoding="utf-8")
    deep = "[" * 10_000
    (main / "deep-default.yaml").write_text(f"a: {deep}\n", encoding="utf-8")
    (main / "python-default.yaml").write_text(
        "a: !!python/object/apply:os.system ['true']\n", encoding="utf-8"
    )
    levels = "\n".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9)}]" for i in range(1, 12))
    (main / "bomb-default.yaml").write_text(f"b0: &b0 [x, x]\n{levels}\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def server(tree: Path, start_server: Callable[..., Any]) -> Any:
    return start_server(tree)


Get = Callable[[str], tuple[int, bytes]]


@pytest.fixture
def get(server: Any) -> Get:
    """Send the path as it stands; return status and body, and look for the marker."""

    def send(path: str) -> tuple[int, bytes]:
        line = f"GET /config{path} HTTP/1.1\r\n".encode("latin-1")
        raw = server.exchange(line + b"Host: localhost\r\nConnection: close\r\n\r\n")
        assert MARKER.encode() not in raw
        head, _, body = raw.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body

    return send


REFUSED = {400, 404}
S2 = ["../marker", "..%2fmarker", "%2e%2e%2fmarker", "..%5cmarker"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *(
            pytest.param(path, REFUSED, marks=pytest.mark.case("S1"))
            for path in ("/../marker/default", "/..%2fmarker/default", "/%2e%2e/default")
        ),
        *(
            pytest.param(f"/orders/default/main/{path}", REFUSED, marks=pytest.mark.case("S2"))
            for path in S2
        ),
        *(
            pytest.param(path.replace("%", percent), REFUSED, marks=pytest.mark.case("S3"))
            for percent in ("%25", "%2525")
            for path in (
                "/..%2fmarker/default",
                "/%2e%2e/default",
                "/orders/default/%2e%2e",
                *(f"/orders/default/main/{path}" for path in S2[1:]),
            )
        ),
        *(
            pytest.param(path, {400}, marks=pytest.mark.case("S4"))
            for path in (
                "/orders/default/..(_)..",
                "/..(_)x/default",
                "/(_)x/default",
                "/orders/default/(_)x",
                "/orders/default/..%28_%29..",
                "/orders/default/%2E%2E%28%5F%29%2E%2E",
                "/orders/default/..%2F..",
                "/orders/default/%2Fetc",
            )
        ),
        *(
            pytest.param(path, {400}, marks=pytest.mark.case("S5"))
            for path in ("/orders%23/default", "/orders/default/ma%23in", "/orders%2523/default")
        ),
        pytest.param("/orders/..", REFUSED, marks=pytest.mark.case("S6")),
        *(
            pytest.param(f"/orders/{profile}", {400}, marks=pytest.mark.case("S6"))
            for profile in (
                "a,..,b",
                "%2e%2e",
                "a%2Fb",
                "a%252Fb",
                "(_)",
                "{x}",
                "a:b",
                "-a",
                "a,",
            )
        ),
        *(
            pytest.param(path, {400}, marks=pytest.mark.case("S8"))
            for path in (
                "/orders%00/default",
                "/orders/%c0%ae%c0%ae",
                "/%ff/default",
                "/orders/%EF%BC%8E%EF%BC%8E",
                "/orders/%EF%BF%BD",
            )
        ),
        pytest.param("/orders/default/main/a%00.txt", REFUSED, marks=pytest.mark.case("S8")),
        *(
            pytest.param(f"/orders/default/main/{path}", REFUSED, marks=pytest.mark.case("S9"))
            for path in (
                "file:%2f%2f%2fx",
                "C:%5cx",
                "/x",
                ".git/config",
                ".env",
            )
        ),
        pytest.param("/linked/default", {404, 500}, marks=pytest.mark.case("S10")),
        pytest.param("/chained/default", {404, 500}, marks=pytest.mark.case("S10")),
        pytest.param("/team(_)orders/default", {404, 500}, marks=pytest.mark.case("S10")),
        pytest.param("/orders/default/outside", {404, 500}, marks=pytest.mark.case("S10")),
        pytest.param("/${HOME}/default", {400}, marks=pytest.mark.case("S11")),
        pytest.param("/$%7BHOME%7D/default", {400}, marks=pytest.mark.case("S11")),
        *(
            pytest.param(path, {400}, marks=pytest.mark.case("S18"))
            for path in (
                "/orders%0d%0aX-Injected:%20yes/default",
                "/orders/default/main%0d%0aX-Injected:%20yes",
            )
        ),
    ],
)
def test_hostile_paths_are_refused(get: Get, path: str, expected: set[int]) -> None:
    status, body = get(path)
    assert status in expected
    assert (status, body) == (404, b"") or json.loads(body)["status"] == status


@pytest.mark.case("S11")
def test_the_environment_of_the_server_is_never_consulted(get: Get) -> None:
    status, body = get("/orders/default")
    assert status == 200
    assert json.loads(body)["propertySources"][0]["source"] == {
        "home": "${HOME}",
        "path": "${PATH}",
    }


@pytest.mark.case("S10")
def test_a_link_that_leads_nowhere_is_no_bundle(get: Get) -> None:
    status, body = get("/dangling/default")
    assert (status, json.loads(body)["propertySources"]) == (200, [])


@pytest.mark.case("S15")
@pytest.mark.parametrize("application", ["deep", "python", "bomb"])
def test_hostile_files_are_errors_and_the_server_lives(get: Get, application: str) -> None:
    status, body = get(f"/{application}/default")
    assert status == 500
    assert f"main/{application}-default.yaml" in json.loads(body)["message"]
    assert "line" in json.loads(body)["message"]
    assert get("/orders/default")[0] == 200


@pytest.mark.case("S18")
def test_an_injected_line_break_stays_inside_one_log_line(server: Any, get: Get) -> None:
    get("/injected%0d%0aX-Injected:%20yes/default")
    lines = [line for line in server.output().splitlines() if "X-Injected" in line]
    assert not [line for line in lines if line.lstrip().startswith("X-Injected")]
    raw = server.exchange(
        b"GET /config/a%0d%0aX-Injected:%20yes/default HTTP/1.1\r\n"
        b"Host: localhost\r\nConnection: close\r\n\r\n"
    )
    assert b"\r\nX-Injected" not in raw
