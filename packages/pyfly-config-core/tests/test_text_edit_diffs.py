"""Ten edits of each of six long files, with their diffs in `data/edits/*.diff`.

`PYFLY_WRITE_DIFFS=1` writes the diffs again; look at them before you commit them.
"""

import copy
import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import ConfigKey
from pyfly.config_server.files.bundle_texts import edited_file
from pyfly.config_server.files.file_tree import FileContent
from pyfly.config_server.formats.editing.tree_editor import EditLevel
from pyfly.config_server.formats.edits import edit_text
from pyfly.config_server.formats.merged_documents import merged_properties
from pyfly.config_server.formats.text import parse_documents, same_tree

DATA = Path(__file__).parent / "data" / "edits"
Edit = Callable[[Any], Any]


def put(*path: Any) -> Edit:
    *above, step, value = path

    def edit(tree: Any) -> None:
        for one in above:
            tree = tree[one]
        tree[step] = value

    return edit


def drop(*path: Any) -> Edit:
    *above, step = path

    def edit(tree: Any) -> None:
        for one in above:
            tree = tree[one]
        del tree[step]

    return edit


def insert(*path: Any) -> Edit:
    *above, index, value = path

    def edit(tree: Any) -> None:
        for one in above:
            tree = tree[one]
        tree.insert(index, value)

    return edit


EDITS: dict[str, tuple[Edit, ...]] = {
    "application.yaml": (
        put("server", "port", 9090),
        put("spring", "datasource", "password", "{cipher}BQC9"),
        put("spring", "jackson", "serialization", "fail-on-empty-beans", False),
        drop("server", "compression", "mime-types", 1),
        put("management", "endpoint.health.probes.enabled", True),
        drop("spring", "datasource", "hikari"),
        put("logging", "pattern", "console", "%msg%n"),
        put("clients", "billing", "timeout", "3s"),
        drop("features", 0, "name"),
        put("clients", "new", {"url": "https://new", "retry-on": [502], "headers": {}}),
    ),
    "services.yaml": (
        put("x-defaults", "replicas", 3),
        put("services", "orders", "replicas", 5),
        put("services", "billing", "resources", "cpu", "4"),
        drop("x-large"),
        drop("services", "catalogue", "env", "TZ"),
        put("services", "payments", "command", "set -e\nexec other\n"),
        insert("services", "customers", "ports", 1, 8443),
        drop("services", "orders"),
        put("x-defaults", "env", {"LOG_LEVEL": "warn", "TZ": "UTC"}),
        put("services", "new", {"image": "x", "ports": [1, 2]}),
    ),
    "jobs.yaml": (
        put("jobs", 0, "schedule", "5 4 * * *"),
        put("jobs", 0, "script", "#!/bin/sh\nset -eu\nrun orders --some\n\necho done"),
        put("jobs", 1, "script", "run it\n"),
        drop("jobs", 2),
        drop("jobs", 0, "name"),
        insert("jobs", 1, {"name": "first", "notify": ["a@example.com"]}),
        drop("jobs", 3, "notify", 1),
        put("jobs", 2, "limits", "disk", "1Gi"),
        put("jobs", 3, "owner", {"team": "platform"}),
        put("jobs", 4, "notify", []),
    ),
    "shops.json": (
        put("title", "The \u201cshop\u201d"),
        put("tax", "standard", 0.19),
        put("tax", "zero", 0),
        drop("currencies", 2),
        insert("currencies", 0, "JPY"),
        drop("shops", 0),
        put("shops", 5, "tags", ["x", "y"]),
        put("shops", 29, "hours", {}),
        put("new", {"a": [1, {"b": None}]}),
        drop("title"),
    ),
    "shop.properties": (
        put("server.port", "9090"),
        put("welcome.text", "Short"),
        put("welcome.title", "\u00c4ndern \U0001f600"),
        put("empty", " a\\b\n"),
        drop("client.orders.url"),
        put("client.orders.timeout", "=1"),
        put("client.mail.retry-on[1]", "503"),
        put("server.ssl.enabled", "true"),
        drop("welcome.text"),
        put("new key: #1", ""),
    ),
}


SEVERAL_DOCUMENTS: tuple[dict[str, Any], ...] = (
    {"server.port": 8081},
    {"spring.application.name": "edge"},
    {"clients.orders.token": "${ORDERS_TOKEN:none}"},
    {"clients.customers.burst": 5},
    {"clients.media.requests-per-second": 7},
    {"limits.burst": 2_000, "clients.audit.token": None},
    {"message": "We are back.\n"},
    {"eu.region": "eu-2", "eu.nodes": [{"host": "n9.eu.example.com", "weight": 1}]},
    {"us.nodes": []},
    {"de.region": None},
)
"""Changed keys; `None` removes one."""


def test_the_diffs_of_a_file_with_several_documents_are_as_small_as_they_were() -> None:
    """Placeholders, lists of mappings, merge keys, odd indents, and conditions."""
    name = "gateway.yml"
    data = (DATA / name).read_bytes()
    documents = parse_documents(data, suffix=".yml")
    assert len(documents) == 4
    shown: list[str] = []
    for number, changes in enumerate(SEVERAL_DOCUMENTS, start=1):
        merged = merged_properties(documents) | changes
        wanted = {key: value for key, value in merged.items() if value is not None}
        content = FileContent(data=data, identity=0, version="0")
        new = edited_file(ConfigKey(application="gateway", profile="-"), {name: content}, wanted)
        assert new.level <= EditLevel.ALIASES
        found = merged_properties(parse_documents(new.data, suffix=".yml"))
        assert same_tree(found, wanted)
        shown += [f"=== {number}: {new.level.name}", *difference(data, new.data)]
    check_golden(name, shown)


def difference(old: bytes, new: bytes) -> list[str]:
    before, after = old.decode().splitlines(), new.decode().splitlines()
    return [*difflib.unified_diff(before, after, n=1, lineterm="")][2:]


def check_golden(name: str, shown: list[str]) -> None:
    golden = DATA / f"{name}.diff"
    text = "\n".join(shown) + "\n"
    if os.environ.get("PYFLY_WRITE_DIFFS"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EDITS)
def test_the_diffs_of_long_files_are_as_small_as_they_were(name: str) -> None:
    path = DATA / name
    data, suffix = path.read_bytes(), path.suffix
    tree = dict(parse_documents(data, suffix=suffix)[0].properties)
    shown: list[str] = []
    for number, change in enumerate(EDITS[name], start=1):
        wanted = copy.deepcopy(tree)
        change(wanted)
        edit = edit_text(data, wanted, suffix=suffix)
        assert same_tree(dict(parse_documents(edit.data, suffix=suffix)[0].properties), wanted)
        assert edit.level <= EditLevel.ALIASES
        assert edit.data.count(b"\r\n") in {0, edit.data.count(b"\n")}
        shown += [f"=== {number}: {edit.level.name}", *difference(data, edit.data)]
    check_golden(name, shown)
