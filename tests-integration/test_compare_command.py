"""`pyfly-config compare` against real servers: equal, different, refusing, broken, away."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli import main

FILES = {
    "main/application.yaml": "company: Example\n",
    "main/orders-default.yaml": "a: 1\nlist: [x, y]\n---\nb: 2\n",
    "main/orders-prod.yaml": "a: 2\nsecret: hunter2\n",
    "next/orders-prod.yaml": "a: 3\n",
    "feature/x/billing-eu.yaml": "a: 4\n",
}
VARIABLES = ("USERNAME", "PASSWORD", "TOKEN")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"PYFLY_CONFIG_COMPARE_{name}", raising=False)


@pytest.fixture(scope="module")
def old_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("old")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def old_url(old_store: Path, start_server: Callable[..., Any]) -> str:
    return start_server(old_store, USERNAME="ada", PASSWORD="pa:ss").url + "/config"


@pytest.fixture
def new_store(old_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(old_store, tmp_path / "new"))


@pytest.fixture
def credential(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pa:ss\n", encoding="utf-8")
    monkeypatch.setenv("PYFLY_CONFIG_COMPARE_USERNAME", "ada")
    monkeypatch.setenv("PYFLY_CONFIG_COMPARE_PASSWORD_FILE", str(tmp_path / "password"))


@pytest.mark.usefixtures("credential")
def test_equal_stores_are_equal(
    old_url: str, new_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", old_url, str(new_store)]) == 0
    assert capsys.readouterr().out == "8 documents compared, 0 differ\n"
    assert main(["compare", old_url + "/", str(new_store), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"compared": 8, "different": 0, "differences": []}


@pytest.mark.usefixtures("credential")
def test_what_differs_is_named_without_values(
    old_url: str, new_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (new_store / "main/orders-prod.yaml").write_text("a: '2'\nsecret: hunter3\n", encoding="utf-8")
    shutil.rmtree(new_store / "feature")
    (new_store / "main/application.yaml").unlink()
    names = ["--applications", "orders", "--profiles", "prod", "--labels", "main,feature/x"]
    assert main(["compare", old_url, str(new_store), *names]) == 3
    shown = capsys.readouterr()
    assert [line.split() for line in shown.out.splitlines()] == [
        ["LABEL", "APPLICATION", "PROFILE", "SOURCE", "KEY", "DIFFERENCE"],
        *[
            [
                "feature/x",
                "orders",
                "prod",
                "status",
                "200",
                "in",
                "the",
                "old",
                "server,",
                "404",
                "here",
            ],
            ["main", "orders", "prod", "orders-prod", "a", "differs"],
            ["main", "orders", "prod", "orders-prod", "secret", "differs"],
            ["main", "orders", "prod", "application", "only", "in", "the", "old", "server"],
        ],
        ["2", "documents", "compared,", "2", "differ"],
    ]
    assert main(["compare", old_url, str(new_store), *names, "--json"]) == 3
    json_text = capsys.readouterr().out
    assert "hunter" not in shown.out + shown.err + json_text
    assert json.loads(json_text)["differences"][1] == {
        "label": "main",
        "application": "orders",
        "profile": "prod",
        "source": "orders-prod",
        "key": "a",
        "what": "value",
    }
    assert main(["compare", old_url, str(new_store), *names, "--show-values", "--json"]) == 3
    values = json.loads(capsys.readouterr().out)["differences"]
    assert [(row["old"], row["new"]) for row in values[1:3]] == [(2, "2"), ("hunter2", "hunter3")]
    assert main(["compare", old_url, str(new_store), *names, "--show-values"]) == 3
    assert '"hunter2"  "hunter3"' in capsys.readouterr().out


@pytest.mark.usefixtures("credential")
def test_names_of_an_old_server_of_ours_count(
    old_url: str, new_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(new_store / "feature")
    shutil.rmtree(new_store / "next")
    assert main(["compare", old_url, str(new_store), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["compared"] == 8
    assert {row["label"] for row in document["differences"]} == {"next", "feature/x"}


@pytest.mark.usefixtures("credential")
def test_flattened_formats_and_plain_files_are_compared_when_asked_for(
    old_url: str, new_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compare", old_url, str(new_store), "--formats", "--files", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["compared"] == 8 + 3 * 8 + len(FILES)
    (new_store / "main/application.yaml").write_text("# new\ncompany: Example\n", encoding="utf-8")
    (new_store / "next/orders-prod.yaml").write_text("a: 5\n", encoding="utf-8")
    (new_store / "next/notes.txt").write_text("x", encoding="utf-8")
    assert main([*arguments, "--labels", "main,next"]) == 3
    rows = json.loads(capsys.readouterr().out)["differences"]
    assert [(row["label"], row["source"], row["what"]) for row in rows] == [
        ("next", "orders-prod", "value"),
        ("next", ".json", "text"),
        ("next", ".properties", "text"),
        ("next", ".yml", "text"),
        ("main", "application.yaml", "text"),
        ("next", "notes.txt", "status"),
        ("next", "orders-prod.yaml", "text"),
    ]


@pytest.mark.usefixtures("credential")
def test_the_settings_of_the_server_count(
    old_url: str, new_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f"backend = ['{new_store}']\n[overrides]\nx = 1\n", encoding="utf-8")
    arguments = ["compare", old_url, "--settings", str(file), "--profiles", "prod"]
    assert main(arguments) == 3
    rows = [line for line in capsys.readouterr().out.splitlines() if "overrides" in line]
    assert len(rows) == 4
    assert all(row.endswith("only in the store") for row in rows)


@pytest.mark.usefixtures("credential")
def test_an_empty_store_lacks_what_the_old_server_has(
    old_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["compare", old_url, str(tmp_path / "empty")]) == 3
    assert "8 documents compared, 8 differ" in capsys.readouterr().out


# --- servers that do not answer as they should ---------------------------------------------


class Wrong(BaseHTTPRequestHandler):
    """Answers as the first element of the path says."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        bodies = {"html": b"<html>", "list": b"[]", "values": b'{"secret-of-it": 1}'}
        if kind == "slow":
            self.server.released.wait(60)  # type: ignore[attr-defined]
        self.send_response(int(kind) if kind.isdigit() else 200)
        if kind == "302":
            self.send_header("Location", "http://elsewhere.example/")
        body = b"[" * 40_000_000 if kind == "large" else bodies.get(kind, b"{}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def wrong() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Wrong)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    released = threading.Event()
    server.released = released  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    released.set()
    server.shutdown()
    server.server_close()


def test_without_bundles_there_is_nothing_to_compare(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for kind in ("404", "values", "html"):
        assert main(["compare", f"{wrong}/{kind}", str(tmp_path / "empty")]) == 4
        assert "--applications" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("html", "no document of Spring Cloud Config"),
        ("list", "no document of Spring Cloud Config"),
        ("values", "no document of Spring Cloud Config"),
        ("401", "PYFLY_CONFIG_COMPARE_USERNAME"),
        ("403", "status 403"),
        ("302", "sends on to another address"),
        ("503", "status 503"),
        ("large", "more than"),
        ("slow", "no answer in 0.5 s"),
    ],
)
def test_a_wrong_answer_is_an_error(
    wrong: str, new_store: Path, kind: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    assert (
        main(
            [
                "compare",
                f"{wrong}/{kind}",
                str(new_store),
                "--timeout",
                "0.5" if kind == "slow" else "60",
            ]
        )
        == 1
    )
    error = capsys.readouterr().err
    assert words in error
    assert "secret-of-it" not in error
    assert time.monotonic() - started < 50  # ends a hang, proves nothing


def test_a_wrong_prefix_is_told(
    wrong: str, new_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", f"{wrong}/404", str(new_store)]) == 3
    assert "must end with its prefix" in capsys.readouterr().err


def test_a_server_that_is_away_is_an_error(
    free_port: Callable[[], int], new_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", f"http://127.0.0.1:{free_port()}", str(new_store)]) == 1
    assert "cannot reach http://127.0.0.1:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:hunter2@host/config",
        "http://host/config?token=hunter2",
        "ftp://host/",
        "config",
        "http://",
        "http://host:x/",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(
    url: str, new_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", url, str(new_store)]) == 2
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err


@pytest.mark.parametrize(
    "variables",
    [
        {"USERNAME": "a"},
        {"USERNAME": "a", "PASSWORD": "b", "TOKEN": "c"},
        {"TOKEN": "hunter2 x"},
        {"TOKEN": "a", "TOKEN_FILE": "b"},
        {"TOKEN_FILE": "not-there"},
    ],
    ids=["half", "both", "no-word", "twice", "no-file"],
)
def test_a_credential_that_cannot_be_used_is_refused(
    variables: dict[str, str],
    new_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"PYFLY_CONFIG_COMPARE_{name}", value)
    assert main(["compare", "http://127.0.0.1:1", str(new_store)]) == 2
    shown = capsys.readouterr()
    assert "PYFLY_CONFIG_COMPARE_" in shown.err
    assert "hunter2" not in shown.out + shown.err
