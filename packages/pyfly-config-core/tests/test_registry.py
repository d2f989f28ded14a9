import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyfly.config_core import (
    AmbiguousBackendError,
    BackendLookupError,
    BackendNotInstalledError,
    UnknownBackendError,
)
from pyfly.config_server import (
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    open_backend,
)
from pyfly.config_server.storage import registry

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with one entry point on the path."""

    def put(name: str, scheme: str, target: str, code: str = "", *, where: str = "site") -> None:
        site = tmp_path / where
        metadata = site / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(
            f"[pyfly.config_server.backends]\n{scheme} = {target}\n", encoding="utf-8"
        )
        (site / f"{target.partition(':')[0]}.py").write_text(code, encoding="utf-8")
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))

    return put


def test_the_built_in_schemes_are_found_like_any_other(tmp_path: Path) -> None:
    assert isinstance(open_backend("memory:"), InMemoryConfigBackend)
    assert isinstance(open_backend(tmp_path.as_uri()), FilesystemConfigBackend)


def test_a_backend_of_another_package_is_opened_by_its_scheme(install: Install) -> None:
    code = "class B:\n    @classmethod\n    def from_url(cls, url):\n        return cls(), url\n"
    install("another", "pigeon", "pigeon_one:B", code)
    assert open_backend("pigeon:x?y")[1] == "pigeon:x?y"  # type: ignore[index]


def test_an_unknown_scheme_lists_what_is_installed() -> None:
    with pytest.raises(UnknownBackendError, match=r"installed are: file:, .*memory:") as caught:
        open_backend("pigeon://user:marker@x")
    assert caught.value.scheme == "pigeon"
    assert "marker" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["svn", "jdbc", "vault"])
def test_no_advice_is_given_for_what_is_not_published(scheme: str) -> None:
    with pytest.raises(UnknownBackendError) as caught:
        open_backend(f"{scheme}://user:marker@host/x")
    assert "install " not in str(caught.value)
    assert "did you mean" not in str(caught.value)
    assert "marker" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("sqllite:///x.db", "sqlite:"),
        ("FILE:///etc", "file:"),
        ("postgressql://user:marker@host/db", "postgresql:"),
        ("postgresql+psycopg://user:marker@host/db", "postgresql:"),
        ("memroy:", "memory:"),
        ("git+shh://git@host/x", "git+ssh:"),
        ("https://user:marker@host/x.git", "git+https:"),
    ],
)
def test_a_misspelt_scheme_is_asked_about(url: str, near: str) -> None:
    with pytest.raises(UnknownBackendError, match=re.escape(f"did you mean '{near}'")) as caught:
        open_backend(url)
    assert "marker" not in str(caught.value)


def test_the_address_of_a_server_is_no_store() -> None:
    with pytest.raises(UnknownBackendError, match=r"name the store behind it, or .* /_bundles"):
        open_backend("http://localhost:8888/config")


@pytest.mark.parametrize(
    ("url", "requirement"),
    [
        ("sqlite:///x.db", "pyfly-config-sql"),
        ("postgres://user:marker@host/db", "pyfly-config-sql[postgres]"),
        ("postgresql://user:marker@host/db", "pyfly-config-sql[postgres]"),
        ("mysql://user:marker@host/db", "pyfly-config-sql[mysql]"),
    ],
)
def test_a_known_scheme_gives_the_install_command(
    url: str, requirement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda **_: ())  # whatever is installed here
    with pytest.raises(BackendNotInstalledError) as caught:
        open_backend(url)
    assert isinstance(caught.value, ImportError)
    assert f"pip install '{requirement}'" in str(caught.value)
    assert "marker" not in str(caught.value)


def test_two_distributions_that_claim_a_scheme_are_named(install: Install) -> None:
    install("one", "pigeon", "pigeon_two:B")
    install("two", "pigeon", "pigeon_three:B")
    with pytest.raises(AmbiguousBackendError, match="one, two"):
        open_backend("pigeon:x")


def test_one_distribution_found_twice_is_not_ambiguous(install: Install) -> None:
    code = "class B:\n    from_url = staticmethod(lambda url: url)\n"
    install("one", "pigeon", "pigeon_four:B", code)
    install("one", "pigeon", "pigeon_four:B", code, where="second")
    assert open_backend("pigeon:x") == "pigeon:x"


def test_a_backend_that_cannot_be_imported_says_so_itself(install: Install) -> None:
    install("broken", "pigeon", "pigeon_five:B", "import nothing_of_this_name\n")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        open_backend("pigeon:x")


@pytest.mark.parametrize("url", ["", "/etc/pyfly", "config", ":x"])
def test_a_text_without_a_scheme_is_explained(url: str) -> None:
    with pytest.raises(BackendLookupError, match="file:///directory"):
        open_backend(url)


def test_memory_takes_nothing_behind_the_colon() -> None:
    with pytest.raises(BackendLookupError, match="memory: without anything after it"):
        open_backend("memory:x")
