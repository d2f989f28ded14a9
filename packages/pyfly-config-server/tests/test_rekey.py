"""`pyfly-config rekey`: the values of a store, encrypted with another key."""

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from git_repositories import Repository
from pyfly.config_cli._settings.loading import load_encryption
from pyfly.config_cli._settings.names import PREFIX
from pyfly.config_core import ConfigKey
from pyfly.config_server import (
    Bundles,
    CipherRekeyer,
    ConfigSource,
    Encryption,
    InMemoryConfigBackend,
    open_backend,
)
from pyfly.config_server.storage import ANY, ConfigEntry

pytestmark = pytest.mark.anyio

Run = Callable[..., Any]

BOUND = {name: base64.b64encode(name.encode().ljust(32)).decode() for name in ("b27", "b28")}
TO_BOUND = ("--from", "default", "--to", "b28")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Encryption:
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEY", "foo")
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEYS", '{"k2": "bar"}')
    monkeypatch.setenv(PREFIX + "ENCRYPT_BOUND_KEYS", json.dumps(BOUND))
    return load_encryption(None)


def spring(keys: Encryption, text: str, key: str | None = None) -> str:
    assert keys.keys is not None
    return "{cipher}" + keys.keys.encrypt(f"{{key:{key}}}{text}" if key else text)


def bound(keys: Encryption, text: str, key: str, *, key_id: str = "b27") -> str:
    assert keys.bound is not None
    return "{cipher}" + keys.bound.encrypt(text, application="orders", key=key, key_id=key_id)


def read(keys: Encryption, value: str, key: str, application: str = "orders") -> str:
    assert keys.keys is not None
    assert keys.bound is not None
    if value.startswith("{cipher}v1:"):
        return keys.bound.decrypt(value, applications=(application,), key=key)
    return keys.keys.decrypt(value)


async def save(
    url: str, properties: Any, profile: str = "prod", application: str = "orders"
) -> None:
    backend: Any = open_backend(url)
    try:
        source = ConfigSource(application=application, profile=profile, properties=properties)
        await backend.save(source)
    finally:
        if hasattr(backend, "aclose"):
            await backend.aclose()


async def load(url: str, profile: str = "prod") -> Any:
    backend: Any = open_backend(url)
    try:
        found = await backend.fetch("orders", profile)
        return dict(found.properties)
    finally:
        if hasattr(backend, "aclose"):
            await backend.aclose()


@pytest.mark.parametrize("kind", ["labels", "spring", "sqlite", "s3", "git"])
def test_the_values_of_every_kind_of_store_are_encrypted_anew(
    run: Run, place: Callable[[str], str], keys: Encryption, kind: str, tmp_path: Path
) -> None:
    import asyncio  # noqa: PLC0415

    if kind == "git":
        repository = Repository(tmp_path / "remote.git")
        repository.commit({"README.md": "x\n"})
        url = f"{repository.url}?write=true&profiles=prod,dev&state={tmp_path / 'state'}"
    else:
        url = place(kind) + ("&profiles=prod,dev" if kind == "spring" else "")
        if kind == "sqlite":
            assert run("db", "upgrade", url).code == 0
    old: Any = {
        "db": {"password": spring(keys, "one"), "port": 1},
        "users": [spring(keys, "two"), "x", spring(keys, "three", "k2")],
        "own": bound(keys, "four", "own"),
    }
    asyncio.run(save(url, old))
    asyncio.run(save(url, {"a": 1}, "dev"))
    dry = run("rekey", url, *TO_BOUND, "--dry-run", "--json")
    assert (dry.code, dry.json["stored"], dry.json["dryRun"]) == (0, False, True)
    assert asyncio.run(load(url)) == old
    done = run("rekey", url, *TO_BOUND, "--json")
    assert done.code == 0, done.err
    (row,) = done.json["bundles"]
    assert (row["outcome"], row["keys"]) == ("re-encrypted", ["db.password", "users[0]"])
    assert row["profile"] == "prod"
    new = asyncio.run(load(url))
    assert new["db"]["password"].startswith("{cipher}v1:b28:")
    assert read(keys, new["db"]["password"], "db.password") == "one"
    assert read(keys, new["users"][0], "users") == "two"
    assert new["users"][1:] == old["users"][1:]
    assert new["own"] == old["own"]
    again = run("rekey", url, *TO_BOUND)
    assert (again.code, again.out) == (0, "0 values in 0 bundles encrypted with 'b28'\n")


@pytest.mark.parametrize(
    ("source", "target", "moved"),
    [
        ("default", "k2", {"a"}),
        ("k2", "default", {"b"}),
        ("K2", "b28", {"b"}),
        ("b27", "b28", {"c"}),
        ("b27", "default", {"c"}),
        ("b28", "k2", {"d"}),
    ],
)
def test_exactly_the_values_of_one_key_get_the_other_key(
    run: Run, tmp_path: Path, keys: Encryption, source: str, target: str, moved: set[str]
) -> None:
    values = {
        "a": spring(keys, "ta"),
        "b": spring(keys, "tb", "k2"),
        "c": bound(keys, "tc", "c"),
        "d": bound(keys, "td", "d", key_id="b28"),
        "e": "{cipher}",
        "f": "text",
    }
    file = tmp_path / "main" / "orders-prod.yaml"
    file.parent.mkdir()
    file.write_text(json.dumps(values), encoding="utf-8")
    done = run("rekey", tmp_path, "--from", source, "--to", target, "--partial", "--json")
    new = json.loads(file.read_text(encoding="utf-8"))
    assert {key for key in values if new[key] != values[key]} == moved
    for key in "abcd":
        assert read(keys, new[key], key) == f"t{key}"
    marks = {"default": "{cipher}", "k2": "{cipher}{key:k2}", "b28": "{cipher}v1:b28:"}
    (key,) = moved
    assert new[key].startswith(marks[target])
    assert done.code == (3 if source == "default" else 0)  # an empty text is of the default key


def test_the_rest_of_a_text_stays_as_it_is(run: Run, tmp_path: Path, keys: Encryption) -> None:
    one, two = spring(keys, "one"), spring(keys, "two")
    text = f"# why\r\ndb:   {{password: '{one}'}} # here\r\n\r\nl:\r\n  - \"{two}\"\r\nz: 0x10\r\n"
    file = tmp_path / "main" / "orders-prod.yaml"
    file.parent.mkdir()
    file.write_bytes(text.encode())
    assert run("rekey", tmp_path, *TO_BOUND).code == 0
    new = file.read_bytes().decode()
    (password, user) = (part for part in new.replace('"', "'").split("'") if "{cipher}" in part)
    assert new == text.replace(one, password).replace(two, user)
    assert (read(keys, password, "db.password"), read(keys, user, "l[0]")) == ("one", "two")


def test_a_file_that_may_be_of_several_applications(
    run: Run, tmp_path: Path, keys: Encryption
) -> None:
    file, other = tmp_path / "orders-prod.yml", tmp_path / "a-b-c.yml"
    file.write_text(f"a: '{spring(keys, 'pw')}'\n", encoding="utf-8")
    other.write_text("x: 1\n", encoding="utf-8")
    url = f"{tmp_path.as_uri()}?layout=spring"
    done = run("rekey", url, *TO_BOUND)
    assert (done.code, "profiles=..." in done.err) == (3, True)
    assert "Nothing was stored" not in done.err
    file.write_text(f"a: '{bound(keys, 'pw', 'a')}'\n", encoding="utf-8")
    assert run("rekey", url, "--from", "b27", "--to", "b28").code == 0
    value = file.read_text(encoding="utf-8").split("'")[1]
    assert value.startswith("{cipher}v1:b28:")
    assert read(keys, value, "a") == "pw"  # it is still one of the application `orders`


def test_nothing_is_stored_if_a_value_cannot_be_decrypted(
    run: Run, tmp_path: Path, keys: Encryption
) -> None:
    good, bad = spring(keys, "pw"), "{cipher}" + "00" * 32
    for profile, text in (("dev", f"a: '{good}'\n"), ("prod", f"a: '{good}'\nb: ['{bad}']\n")):
        file = tmp_path / "main" / f"orders-{profile}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    before = [path.read_bytes() for path in sorted(tmp_path.rglob("*.yaml"))]
    done = run("rekey", tmp_path, *TO_BOUND)
    assert done.code == 3
    assert "left as it is: orders/prod/main: b[0]: the text was not encrypted" in done.err
    assert "Nothing was stored" in done.err
    assert "would be encrypted" in done.out
    assert not [secret for secret in ("pw", good[8:], bad[8:]) if secret in done.out + done.err]
    assert [path.read_bytes() for path in sorted(tmp_path.rglob("*.yaml"))] == before
    done = run("rekey", tmp_path, *TO_BOUND, "--partial")
    assert done.code == 3
    assert "2 values in 2 bundles encrypted with 'b28', 1 values left as they are" in done.out
    assert bad in (tmp_path / "main" / "orders-prod.yaml").read_text(encoding="utf-8")
    assert good not in "".join(
        path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.yaml")
    )


def test_files_of_several_documents_and_files_that_cannot_be_written(
    run: Run, tmp_path: Path, keys: Encryption
) -> None:
    texts = {
        "orders-prod.yaml": (
            f"a: '{spring(keys, 'one')}'\nb: '{spring(keys, 'two')}'\n---\nb: 2\n"
            f"c: ['{spring(keys, 'three')}']\n"
        ),
        "other-prod.properties": f"a={spring(keys, 'four')}\n",
        "broken-prod.yaml": "a: [\n",
        "plain.txt": spring(keys, "five"),
    }
    (tmp_path / "main").mkdir()
    for name, text in texts.items():
        (tmp_path / "main" / name).write_text(text, encoding="utf-8")
    done = run("rekey", tmp_path, *TO_BOUND, "--json")
    assert done.code == 3
    rows = {row["application"]: row for row in done.json["bundles"]}
    assert rows["orders"]["keys"] == ["a", "c[0]"]
    (left,) = rows["orders"]["failures"]
    assert (left["key"], "several documents" in left["reason"]) == ("b", True)
    assert rows["other"]["keys"] == ["a"]
    new = (tmp_path / "main" / "other-prod.properties").read_text(encoding="utf-8").strip()
    assert read(keys, new.removeprefix("a="), "a", "other") == "four"
    assert "broken-prod.yaml" in rows["broken"]["reason"]
    for name in ("broken-prod.yaml", "plain.txt"):
        assert (tmp_path / "main" / name).read_text(encoding="utf-8") == texts[name]


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("nothing", "b28", "there is no key 'nothing'"),
        ("default", "nothing", "there is no key 'nothing'"),
        ("b28", "b28", "the old and the new key are both 'b28'"),
        ("same", "b28", "two keys are called 'same'"),
    ],
)
def test_a_wrong_key_is_named(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, said: str
) -> None:
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEYS", '{"same": "bar"}')
    monkeypatch.setenv(PREFIX + "ENCRYPT_BOUND_KEYS", json.dumps(BOUND | {"same": BOUND["b27"]}))
    done = run("rekey", store, "--from", source, "--to", target)
    assert (done.code, said in done.err) == (2, True), done.err


@pytest.mark.parametrize("name", ["default", "Default"])
@pytest.mark.parametrize("argv", [TO_BOUND, ("--from", "k2", "--to", "default")])
def test_a_named_key_that_is_called_default_is_ambiguous(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], name: str
) -> None:
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEYS", json.dumps({"k2": "bar", name: "baz"}))
    done = run("rekey", store, *argv)
    assert (done.code, done.out) == (2, "")
    assert f"a key is called {name!r}, and 'default' stands for the key of values" in done.err
    assert run("rekey", store, "--from", "k2", "--to", "b28").code == 0


def test_a_filter_that_matches_nothing(run: Run, store: Path) -> None:
    done = run("rekey", store, *TO_BOUND, "--application", "none")
    assert (done.code, "no bundle has the application 'none'" in done.err) == (4, True)


async def test_what_another_writer_stores_meanwhile_stays(keys: Encryption) -> None:
    from pyfly.config_cli._rekeying.bundle_rekeying import BundleRekeying  # noqa: PLC0415
    from pyfly.config_cli._stores.writing import describe_commit  # noqa: PLC0415

    first: Any = {"a": spring(keys, "one"), "n": 0}

    class Faster(InMemoryConfigBackend):
        """Lets another writer be faster three times."""

        count = 3

        async def commit(self, source: ConfigSource, **how: Any) -> str:
            if self.count < 3:
                self.count += 1
                properties: Any = {**first, "n": self.count, "new": spring(keys, "two")}
                await super().commit(
                    ConfigSource(application="orders", profile="prod", properties=properties),
                    expected=ANY,
                )
            return await super().commit(source, **how)

    backend = Faster()
    await backend.save(ConfigSource(application="orders", profile="prod", properties=first))
    backend.count = 0
    rekeying = BundleRekeying(
        bundles=Bundles(backend),
        rekeyer=CipherRekeyer(keys, source="default", target="b28"),
        info=describe_commit("me", None),
    )
    planned = await rekeying.plan(
        ConfigEntry(key=ConfigKey(application="orders", profile="prod", label="main"))
    )
    done = await rekeying.store(planned)
    assert (done.outcome, done.keys) == ("re-encrypted", ("a", "new"))
    found: Any = await backend.fetch("orders", "prod")
    assert found.properties["n"] == 3
    assert read(keys, found.properties["new"], "new") == "two"


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, keys: Encryption) -> None:
    import sys  # noqa: PLC0415

    (tmp_path / "main").mkdir()
    for number in range(300):
        file = tmp_path / "main" / f"a{number}-prod.yaml"
        file.write_text(f"a: '{spring(keys, 'pw')}'\n", encoding="utf-8")
    program = Path(sys.executable).with_name("pyfly-config")
    command = [str(program), "rekey", str(tmp_path), *TO_BOUND]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        while process.poll() is None:
            if any(
                "v1:b28" in one.read_text(encoding="utf-8")
                for one in [*tmp_path.rglob("a*.yaml")][:300]
            ):
                process.kill()
                break
    done = subprocess.run(command, capture_output=True, check=True)
    assert b"encrypted with 'b28'" in done.stdout
    for number in range(300):
        text = (tmp_path / "main" / f"a{number}-prod.yaml").read_text(encoding="utf-8")
        value = text.split("'")[1]
        assert read(keys, value, "a", f"a{number}") == "pw"
        assert "v1:b28:" in value
