"""`pyfly-config access`: the file is made, changed, listed and explained."""

import fcntl
import os
import re
import threading
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._access import files
from pyfly.config_cli._access.edits import with_principal
from pyfly.config_server import AccessFileAuthenticator, FollowedAccessFile
from pyfly.config_server.access import Principal
from pyfly.config_server.access.access_file import AccessEntry, parse_access_file
from pyfly.config_server.access.tokens import is_token

HAND_WRITTEN = """\
# who may read
[principals.orders]  # the shop
rules = [{ rights = ["read"], on = "orders/*/*" }]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.toml"


@pytest.fixture
def access(run: Any, path: Path) -> Any:
    def access(command: str, *argv: object) -> Any:
        return run("access", command, *argv, "--file", path)

    return access


def signs_in(path: Path, token: str) -> str | None:
    authenticator = AccessFileAuthenticator(FollowedAccessFile(path))
    principal = authenticator.principal_of(f"Bearer {token}".encode())
    return None if principal is None else principal.name


def test_add_makes_a_private_file_and_prints_the_token_alone(access: Any, path: Path) -> None:
    done = access("add", "orders", "--rule", "read,inspect orders/*/*")
    assert done.code == 0
    token = done.out.removesuffix("\n")
    assert is_token(token.encode())
    assert token not in done.err
    assert "it is shown only now" in done.err
    assert path.stat().st_mode & 0o777 == 0o600
    assert token not in path.read_text(encoding="utf-8")
    assert signs_in(path, token) == "orders"
    assert access("check", "orders", "read", "orders/prod/main").code == 0


def test_add_keeps_what_people_wrote_and_the_permissions(access: Any, path: Path) -> None:
    path.write_text(HAND_WRITTEN, encoding="utf-8")
    path.chmod(0o640)
    done = access("add", "web@x.y", "--rule", "files */*/main web/**", "--expires", "90d", "--json")
    assert path.read_text(encoding="utf-8").startswith(HAND_WRITTEN)
    assert path.stat().st_mode & 0o777 == 0o640
    assert done.json["principal"] == "web@x.y"
    ends = datetime.fromisoformat(done.json["expires"])
    assert timedelta(days=89) < ends - datetime.now(UTC) < timedelta(days=91)
    assert signs_in(path, done.json["token"]) == "web@x.y"
    assert access("check", "web@x.y", "files", "main/web/a.conf").code == 0


ISSUED = """\
[issuers.cluster]  # signs for pods
issuer = "https://i"
audiences = ["a"]
keys-file = "keys.json"

[principals.orders]
subjects = [{ issuer = "cluster", claims = { sub = "x", realm = { roles = "ops" } } }]
"""


def test_issuers_and_subjects_stay_and_are_listed(access: Any, path: Path) -> None:
    path.write_text(ISSUED, encoding="utf-8")
    path.chmod(0o600)
    assert access("add", "web", "--rule", "read web/*/*").code == 0
    assert access("deactivate", "orders").code == 0
    assert access("activate", "orders").code == 0
    assert access("rotate", "orders").code == 0
    assert path.read_text(encoding="utf-8").startswith(ISSUED[: ISSUED.index("[principals")])
    subject = {"issuer": "cluster", "claims": {"sub": "x", "realm": {"roles": "ops"}}}
    assert access("list", "--json").json["principals"][0]["subjects"] == [subject]
    assert "cluster: sub=x, realm.roles=ops" in access("list").out


def test_a_principal_with_subjects_is_added_without_a_token(access: Any, path: Path) -> None:
    path.write_text(ISSUED, encoding="utf-8")
    path.chmod(0o600)
    subjects = ("--subject", 'cluster sub=a"b admin=true', "--subject", "cluster sub=c=d")
    done = access("add", "web", *subjects, "--rule", "read web/*/*")
    assert (done.code, "pfct_" in done.out + done.err) == (0, False)
    assert done.out == (
        'web signs in with tokens of cluster: sub=a"b, admin=true\n'
        "web signs in with tokens of cluster: sub=c=d\n"
    )
    assert path.read_text(encoding="utf-8").startswith(ISSUED)
    listed = access("list", "--json").json["principals"][1]
    assert (listed["tokens"], listed["subjects"]) == (
        [],
        [
            {"issuer": "cluster", "claims": {"sub": 'a"b', "admin": True}},
            {"issuer": "cluster", "claims": {"sub": "c=d"}},
        ],
    )
    other = access("add", "job", "--subject", "cluster sub=x", "--json")
    subjects = ["cluster: sub=x"]
    assert other.json == {"principal": "job", "subjects": subjects, "identities": []}


@pytest.mark.parametrize("value", ["a\x7fb", "a\x01b", "\u2603", "\\u007f"])
def test_any_text_may_be_a_claim(access: Any, path: Path, value: str) -> None:
    path.write_text(ISSUED, encoding="utf-8")
    path.chmod(0o600)
    text = f"cluster sub=x note={value}"
    assert access("add", "web", "--subject", text).code == 0
    entry = parse_access_file(path.read_bytes(), where="").entries["web"]
    assert [one.claims for one in entry.subjects] == [{"sub": "x", "note": value}]


def test_a_principal_with_identities_is_added_without_a_token(access: Any, path: Path) -> None:
    backslash = r"CN=web,O=Foo\, \"Inc\""
    done = access("add", "web", "--identity", "CN=web,O=shop", "--identity", backslash)
    assert done.code == 0, done.err
    assert done.out == (
        "web signs in at a trusted proxy as CN=web,O=shop\n"
        f"web signs in at a trusted proxy as {backslash}\n"
    )
    (listed,) = access("list", "--json").json["principals"]
    assert (listed["tokens"], listed["identities"]) == ([], ["CN=web,O=shop", backslash])
    text = path.read_text(encoding="utf-8")
    for arguments, said in (
        (("job", "--identity", "CN=web,O=shop"), "'CN=web,O=shop' belongs to 'web' already"),
        (("job", "--identity", "CN=a, O=b"), "'CN=a, O=b' has a comma with a blank"),
        (("job", "--identity", "CN=a", "--expires", "90d"), "with --identity the principal has"),
    ):
        done = access("add", *arguments)
        assert (done.code, said in done.err) == (2, True), done.err
    assert path.read_text(encoding="utf-8") == text
    done = access("add", "job", "--identity", "CN=job", "--json")
    assert done.json == {"principal": "job", "subjects": [], "identities": ["CN=job"]}


@pytest.mark.parametrize("text", ["", "cluster", "cluster sub", "cluster =x", "cluster a=b a=c"])
def test_a_subject_without_claims_is_refused(access: Any, path: Path, text: str) -> None:
    path.write_text(ISSUED, encoding="utf-8")
    done = access("add", "web", "--subject", text)
    assert (done.code, "is not ISSUER CLAIM=VALUE" in done.err) == (2, True)
    assert path.read_text(encoding="utf-8") == ISSUED


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("a", "--subject", "other sub=x"), "has no issuer 'other'; it has: none"),
        (("a", "--subject", "other sub=x", "--expires", "90d"), "--expires ends a token"),
        (("orders",), "there is a principal 'orders' already"),
        (("a:b",), "a principal's name has at most 128"),
        (("shared-token",), "the shared credential has this name"),
        (("a", "--rule", "read"), "is not RIGHTS PATTERN"),
        (("a", "--rule", "red a/b/c"), "unknown right 'red'"),
        (("a", "--rule", "read a"), "needs three parts"),
        (("a", "--rule", "files a/b/c"), "needs the right 'files' together with a pattern"),
        (("a", "--expires", "soon"), "--expires: 'soon' is not a time"),
        (("a", "--expires", "2020-01-01"), "--expires: '2020-01-01' has passed"),
        (("a", "--expires", "2099-01-01T00:00"), "needs an offset"),
    ],
)
def test_what_cannot_be_added_changes_nothing(
    access: Any, path: Path, argv: tuple[str, ...], message: str
) -> None:
    path.write_text(HAND_WRITTEN, encoding="utf-8")
    done = access("add", *argv)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert path.read_text(encoding="utf-8") == HAND_WRITTEN


def test_rotate_lets_the_older_tokens_go_on_for_a_while(access: Any, path: Path) -> None:
    first = access("add", "orders").out.strip()
    second = access("rotate", "orders")
    assert re.search(r"token \w{6} ends at ", second.err)
    assert signs_in(path, first) == signs_in(path, second.out.strip()) == "orders"
    third = access("rotate", "orders", "--grace", "0s", "--json").json["token"]
    assert signs_in(path, first) is signs_in(path, second.out.strip()) is None
    assert signs_in(path, third) == "orders"
    listed = access("list", "--json").json["principals"][0]["tokens"]
    assert [token["expired"] for token in listed] == [True, True, False]


def test_revoke_removes_tokens_by_id_or_all(access: Any, path: Path) -> None:
    first = access("add", "orders", "--json").json
    second = access("rotate", "orders", "--json").json
    assert "has no token 'x'; it has: " in access("revoke", "orders", "x").err
    assert access("revoke", "orders").code == 2
    assert access("revoke", "orders", first["id"]).out == f"revoked of orders: {first['id']}\n"
    assert signs_in(path, first["token"]) is None
    assert signs_in(path, second["token"]) == "orders"
    assert access("revoke", "orders", "--all", "--json").json["revoked"] == [second["id"]]
    assert signs_in(path, second["token"]) is None
    assert access("revoke", "nobody", "--all").err.endswith(
        "there is no principal 'nobody'; there are: orders\n"
    )


def test_a_deactivated_principal_can_be_activated_under_the_same_name(
    access: Any, path: Path
) -> None:
    token = access("add", "orders", "--rule", "read orders/*/*").out.strip()
    assert access("deactivate", "orders").out == "orders is not active\n"
    assert signs_in(path, token) is None
    denied = access("check", "orders", "read", "orders/prod/main")
    assert (denied.code, denied.out) == (3, "denied: orders is inactive and cannot sign in\n")
    assert access("deactivate", "orders").out == "orders was not active\n"
    assert "PRINCIPAL  STATE     TOKEN" in access("list").out
    assert access("activate", "orders", "--json").json == {"principal": "orders", "active": True}
    assert signs_in(path, token) == "orders"


def test_check_names_the_rule_that_decides(access: Any, path: Path) -> None:
    path.write_text(
        "[principals.orders]\nrules = [\n"
        '{ rights = ["read"], on = "orders/*/*" },\n'
        '{ rights = ["read", "inspect"], on = "billing/prod/*" },\n'
        '{ rights = ["operate"], on = "*/*/*" },\n]\n',
        encoding="utf-8",
    )
    done = access("check", "orders", "read", "billing/prod/main")
    assert done.code == 0
    assert done.out == (
        "allowed: the rule 'read, inspect on billing/prod/*' gives the right 'read' on "
        "billing/prod/main (principals.orders.rules[1])\n"
    )
    denied = access("check", "orders", "write", "billing/prod/main", "--json")
    assert denied.code == 3
    assert denied.json["reason"] == "no rule gives the right 'write' on billing/prod/main"
    assert access("check", "orders", "operate", "*").code == 0
    assert access("check", "orders", "operate", "x").code == 2
    assert access("check", "orders", "read", "billing").code == 2
    assert access("check", "orders", "read").code == 2
    assert access("check", "orders", "fly", "a/b/c").code == 2
    assert access("check").out == (
        "the access file is right: 1 principals, 0 tokens, of which 0 have expired\n"
    )


def test_check_names_what_is_wrong(access: Any, path: Path) -> None:
    path.write_text(HAND_WRITTEN + "rule = []\n", encoding="utf-8")
    done = access("check")
    assert done.code == 1
    assert f"{path}: principals.orders.rule: there is no such key" in done.err
    path.unlink()
    assert "there is no access file" in access("check").err


def test_the_settings_of_the_server_name_the_file(
    run: Any, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(HAND_WRITTEN, encoding="utf-8")
    assert "no access file is configured" in run("access", "list").err
    settings = tmp_path / "server.toml"
    settings.write_text(f"access-file = '{path}'\n", encoding="utf-8")
    assert "orders" in run("access", "list", "--settings", settings).out
    monkeypatch.setenv("PYFLY_CONFIG_SERVER_ACCESS_FILE", str(path))
    assert "orders" in run("access", "list").out


def test_the_schema_is_printed(run: Any) -> None:
    assert run("access", "schema").json["additionalProperties"] is False


# --- writers at the same time -----------------------------------------------------------------


def test_a_link_stays_a_link(access: Any, path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text(HAND_WRITTEN, encoding="utf-8")
    path.symlink_to("real.toml")
    assert access("add", "b").code == 0
    assert path.is_symlink()
    assert "principals.b" in real.read_text(encoding="utf-8")


def test_two_commands_wait_for_each_other(
    access: Any, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LOCK_SECONDS", 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    done = access("add", "a")
    assert done.code == 1
    assert "another writer holds the lock" in done.err
    os.close(descriptor)
    assert access("add", "a").code == 0


def test_many_writers_lose_nothing(path: Path) -> None:
    def add(name: str) -> None:
        entry = AccessEntry(name=name, principal=Principal(name=name))
        files.change_access(
            path,
            lambda found: with_principal(found.text, found.table.entries, entry),
            creates=True,
        )

    threads = [threading.Thread(target=add, args=(f"p{number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    assert document["principals"].keys() == {f"p{number}" for number in range(12)}


def test_an_edit_by_hand_meanwhile_is_not_overwritten(
    access: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(HAND_WRITTEN, encoding="utf-8")
    real = files.read_access

    def read_and_edit(where: Path) -> Any:
        found = real(where)
        path.write_text(HAND_WRITTEN + "active = false\n", encoding="utf-8")
        return found

    monkeypatch.setattr(files, "read_access", read_and_edit)
    done = access("add", "b")
    assert done.code == 2
    assert "was changed meanwhile; repeat the command" in done.err
    assert path.read_text(encoding="utf-8") == HAND_WRITTEN + "active = false\n"
    assert [*path.parent.iterdir()] == [path]
