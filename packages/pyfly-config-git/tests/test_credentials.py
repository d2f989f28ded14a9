"""Where passwords and passphrases come from. Nobody is ever asked."""

import asyncio
import getpass
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ssh_server import Sshd

from git_http import PASSWORD, GitHttpServer
from git_repositories import Repository
from pyfly.config_core import BackendUnavailableError
from pyfly.config_git import GitConfigBackend
from pyfly.config_git._credentials import needs_passphrase
from pyfly.config_server.storage import ANY, ConfigSource

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Open = Callable[..., GitConfigBackend]
PASSPHRASE = "open sesame"


async def port(store: GitConfigBackend) -> object:
    found = await store.fetch("orders", "prod")
    return None if found is None else found.properties["port"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the user who runs the server."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    for name in ("XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    return path


def configure_helper(home: Path, *, answer: str) -> Path:
    """Configure a credential helper for the user; return the file where it notes its questions."""
    script, notes = home / "helper", home / "notes"
    script.write_text(
        f'#!/bin/sh\necho "$1" >> {notes}\ncat >> {notes}\nenv >> {notes}.env\n{answer}\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    (home / ".gitconfig").write_text(f"[credential]\n\thelper = {script}\n", encoding="utf-8")
    return notes


async def test_settings_of_the_user_are_not_used_unless_asked_for(
    http: GitHttpServer, open_store: Open, home: Path
) -> None:
    line = f"machine 127.0.0.1 login ada password {PASSWORD}\n"
    (home / ".netrc").write_text(line, encoding="utf-8")
    notes = configure_helper(home, answer=f"printf 'username=ada\\npassword={PASSWORD}\\n'")
    with pytest.raises(BackendUnavailableError, match="could not read Username"):
        await port(open_store(f"git+http://{http.address}/remote.git"))
    assert {given for _, given in http.requests} == {None}
    assert not notes.exists()


async def test_a_helper_of_git_is_asked_before_each_use(
    http: GitHttpServer, open_store: Open, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told where, and no secret of the server; it never hears that a password was wrong."""
    monkeypatch.setenv("PYFLY_CONFIG_SERVER_TOKEN", "marker")
    notes = configure_helper(home, answer=f"printf 'username=ada\\npassword={PASSWORD}\\n'")
    url = f"git+http://{http.address}/remote.git"
    store = open_store(url, credentials="helper", write="true")
    assert await port(store) == 1
    await store.commit(
        ConfigSource(application="orders", profile="prod", properties={"port": 2}), expected=ANY
    )
    assert await port(store) == 2
    told = notes.read_text(encoding="utf-8").splitlines()
    assert told[:3] == ["get", "protocol=http", f"host={http.address}"]
    assert told.count("get") == 2
    assert not {"erase", "store"}.intersection(told)
    assert "marker" not in (home / "notes.env").read_text(encoding="utf-8")


@pytest.mark.parametrize("answer", ["exit 1", "exit 0", "echo username=ada", "echo quit=1"])
async def test_a_helper_without_an_answer_is_an_error_and_asks_nobody(
    http: GitHttpServer,
    open_store: Open,
    home: Path,
    tmp_path: Path,
    answer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = tmp_path / "asked"
    prompt = tmp_path / "prompt"
    prompt.write_text(f"#!/bin/sh\ntouch {asked}\necho x\n", encoding="utf-8")
    prompt.chmod(0o755)
    configure_helper(home, answer=answer)
    with (home / ".gitconfig").open("a", encoding="utf-8") as file:
        file.write(f"[core]\n\taskPass = {prompt}\n")
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(prompt))
    with pytest.raises(BackendUnavailableError, match=r"configure credential\.helper"):
        await port(open_store(f"git+http://{http.address}/remote.git", credentials="helper"))
    assert not asked.exists()


async def test_a_netrc_file_gives_the_password_of_the_host(
    http: GitHttpServer, open_store: Open, home: Path
) -> None:
    url = f"http://{http.address}/remote.git"
    with pytest.raises(BackendUnavailableError, match=r"\.netrc cannot be read: No such file"):
        await port(open_store(f"git+{url}", credentials="netrc"))
    lines = f"machine other login x password y\nmachine 127.0.0.1 login ada password {PASSWORD}\n"
    (home / ".netrc").write_text(lines, encoding="utf-8")
    (home / ".netrc").chmod(0o600)
    state = str(home / "state")
    assert await port(open_store(f"git+{url}", credentials="netrc", state=state)) == 1
    other = open_store(f"git+http://eve@{http.address}/remote.git", credentials="netrc")
    with pytest.raises(BackendUnavailableError, match="no password for the user 'eve' of"):
        await port(other)
    (home / ".netrc").write_text("machine a login b\nhunter2\n", encoding="utf-8")
    with pytest.raises(BackendUnavailableError, match="does not parse at line") as broken:
        await port(open_store(f"git+{url}", credentials="netrc", state=str(home / "another")))
    assert "hunter2" not in str(broken.value)


# --- the keys of SSH ------------------------------------------------------------------


def ssh_store(sshd: Sshd, repository: Repository, open_store: Open, **options: Any) -> Any:
    repository.commit({"orders-prod.yml": "port: 1"})
    url = f"git+ssh://{getpass.getuser()}@127.0.0.1:{sshd.port}{repository.path}"
    return open_store(url, known_hosts=str(sshd.known_hosts), **options)


def encrypt(key: Path) -> None:
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", str(key)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.external
async def test_a_key_with_a_passphrase_needs_a_file_with_it(
    sshd: Sshd, repository: Repository, open_store: Open
) -> None:
    key, file = sshd.directory / "user", sshd.directory / "passphrase"
    encrypt(key)
    with pytest.raises(BackendUnavailableError, match=r"has a passphrase: name a file.*_file="):
        await port(ssh_store(sshd, repository, open_store, key_file=str(key)))
    options = {"key_file": str(key), "passphrase_file": str(file)}
    state = str(sshd.directory / "state")
    store = ssh_store(sshd, repository, open_store, **options, state=state, write="true")
    for content, reason in ((None, "cannot be read"), ("wrong\n", "Permission denied")):
        if content is not None:
            file.write_text(content, encoding="utf-8")
            await store.refetch()
        while True:  # until the fetch that is due has failed for this reason
            with pytest.raises(BackendUnavailableError) as failed:
                await port(store)
            if reason in str(failed.value):
                break
            await asyncio.sleep(0.05)
    file.write_text(f"{PASSPHRASE}\n", encoding="utf-8")
    again = ssh_store(sshd, repository, open_store, **options, state=f"{state}2", write="true")
    assert await port(again) == 1
    await again.commit(
        ConfigSource(application="orders", profile="prod", properties={"port": 2}), expected=ANY
    )
    stored = [path for path in sshd.directory.rglob("*") if path.is_file() and path != file]
    assert not [path for path in stored if PASSPHRASE.encode() in path.read_bytes()]


@pytest.fixture
def agent(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent that has the key."""
    socket = sshd.directory / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    while subprocess.run(["ssh-add", "-l"], capture_output=True, check=False).returncode == 2:
        assert process.poll() is None
    command = ["ssh-add", "-q", str(sshd.directory / "user")]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env={**os.environ})
    yield
    process.terminate()
    process.wait()


@pytest.mark.external
@pytest.mark.usefixtures("agent")
async def test_an_agent_is_used_when_it_is_asked_for(
    sshd: Sshd, repository: Repository, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await port(ssh_store(sshd, repository, open_store, agent="true")) == 1
    key = str(sshd.directory / "other")
    directory = sshd.directory
    with pytest.raises(BackendUnavailableError, match="Permission denied"):
        await port(
            ssh_store(sshd, repository, open_store, key_file=key, state=str(directory / "1"))
        )
    public = str(directory / "user.pub")  # which of the keys of the agent
    options = {"agent": "true", "key_file": public, "state": str(directory / "2")}
    assert await port(ssh_store(sshd, repository, open_store, **options)) == 1
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(BackendUnavailableError, match="SSH_AUTH_SOCK names no agent"):
        await port(
            ssh_store(sshd, repository, open_store, agent="true", state=str(directory / "3"))
        )


@pytest.mark.external
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_an_encrypted_key_is_known_in_every_form(tmp_path: Path, form: str) -> None:
    for passphrase in ("", PASSPHRASE):
        key = tmp_path / f"key{len(passphrase)}"
        command = ["ssh-keygen", "-q", "-t", "rsa", "-m", form, "-N", passphrase, "-f", str(key)]
        subprocess.run(command, check=True)
        assert needs_passphrase(key) is bool(passphrase)
    assert needs_passphrase(tmp_path / "missing") is False
