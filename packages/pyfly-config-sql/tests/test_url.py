"""From URLs to engines: named drivers, limits, and nothing of a URL in a message."""

import string
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pyfly.config_core import BackendLookupError, BackendNotInstalledError
from pyfly.config_server import open_backend
from pyfly.config_sql import SqlConfigBackend, _engine

SECRET = "hunter2"


@pytest.fixture(autouse=True, scope="module")
def entry_points() -> Iterator[None]:
    """Look for the installed stores once: every look reads the names of all distributions."""
    with pytest.MonkeyPatch.context() as patch:
        found = cache(metadata.entry_points)
        patch.setattr("pyfly.config_server.storage.registry.entry_points", found)
        yield


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///config.db", "sqlite+aiosqlite"),
        ("postgresql://user:hunter2@db.example/config", "postgresql+asyncpg"),
        (
            "postgres://u:p@a:5432,b:5433/config?target_session_attrs=read-write",
            "postgresql+asyncpg",
        ),
        ("mysql://user:hunter2@db.example:3307/config", "mysql+asyncmy"),
        ("mariadb://user:hunter2@db.example/config?pool_size=2", "mysql+asyncmy"),
    ],
)
def test_every_scheme_opens_a_store_with_a_named_driver(url: str, driver: str) -> None:
    backend = open_backend(url)
    assert isinstance(backend, SqlConfigBackend)
    engine = backend._database.engine
    assert f"{engine.dialect.name}+{engine.dialect.driver}" == driver
    assert engine.sync_engine.hide_parameters
    assert SECRET not in repr(backend) + repr(engine) + str(engine.url)


def test_limits_are_small_and_can_be_set() -> None:
    pool: Any = _engine.open_engine("postgresql://h/d")[0].pool
    assert (pool.size(), pool._max_overflow, pool.timeout()) == (5, 0, 1)
    pool = _engine.open_engine("sqlite:///config.db")[0].pool
    assert (pool.size(), pool._max_overflow, pool.timeout()) == (5, 0, 5)
    engine, label = _engine.open_engine(
        "postgresql://h/d?pool_size=2&pool_timeout=0.5&default_label=trunk&sslmode=require"
    )
    pool = engine.pool
    assert (pool.size(), pool.timeout(), label) == (2, 0.5, "trunk")


def test_statements_of_mysql_are_limited_for_both_servers() -> None:
    assert _engine._mysql_limits(2.0) == (
        "SET SESSION innodb_lock_wait_timeout=2/*M! , max_statement_time=2.0 */"
        "/*!80000 , max_execution_time=2000 */"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:", "name a file"),
        ("sqlite://", "name a file"),
        ("sqlite:///", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite://hunter2/config.db", "name a file"),
        ("sqlite:///a%00b", "name a file"),
        ("sqlite:///nowhere/config.db", "no directory 'nowhere'"),
        ("sqlite:///config.db?hunter2", "percent-encode"),
        ("sqlite:///config.db?mode=hunter2", "no parameter 'mode'; use default_label"),
        ("sqlite:///config.db?statement_timeout=1", "no parameter 'statement_timeout'"),
        ("postgresql://u:hunter2/x@h/d", "'/' in a password is %2F"),
        ("postgresql://u:hunter2#x@h/d", "'#' is %23"),
        ("postgresql://u:hunter2@[h/d", "percent-encode"),
        ("postgresql://u:hunter2@h/d?sslmod=require", "no parameter 'sslmod'; use app"),
        ("postgresql://u:hunter2@h/d?sslmode=a&sslmode=b", "every parameter once"),
        ("postgresql://u:hunter2@h/d?pgbouncer=1", "pgbouncer must be true or false"),
        ("postgresql://u:hunter2@h/d?pool_size=0", "pool_size must be a whole number above 0"),
        ("postgresql://u:hunter2@h/d?pool_size=1.5", "pool_size must be a whole number"),
        ("postgresql://u:hunter2@h/d?pool_timeout=nan", "pool_timeout must be a number of sec"),
        ("mysql://u:hunter2@h:x/d", "percent-encode"),
        ("mysql://u:hunter2@a:1,b:2/d", "percent-encode"),
        ("postgresql://u@a:1,b:hunter2/d", "percent-encode"),
        ("mysql://u:hunter2@h/d?ssl_ca=nowhere.pem", "TLS files cannot be used: No such file"),
        ("mariadb://u:hunter2@h/d?charset=latin1", "no parameter 'charset'"),
    ],
)
def test_what_is_not_written_as_it_should_be_is_explained(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackendLookupError) as caught:
        open_backend(url)
    assert said in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("char", sorted(string.punctuation))
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_password_is_used_as_it_is_or_is_asked_to_be_encoded(scheme: str, char: str) -> None:
    for password in (f"12{char}hunter2", f"hunter2{char}3", f"12{char}hunter2=3"):
        for url in (f"{scheme}://u:{password}@h:1/d", f"{scheme}://{password}@h:1/d"):
            try:
                backend = open_backend(url)
            except BackendLookupError as error:
                assert "'/' in a password is %2F" in str(error)
                assert SECRET not in f"{error!r}{error.__cause__!r}{error.__context__!r}"
            else:
                assert char not in "/?#"
                assert isinstance(backend, SqlConfigBackend)
                assert SECRET not in repr(backend)
                assert urlsplit(url).hostname == "h"


@pytest.mark.parametrize(
    ("url", "requirement"),
    [
        ("postgresql://u:hunter2@h/d", "pyfly-config-sql[postgres]"),
        ("mariadb://u:hunter2@h/d", "pyfly-config-sql[mysql]"),
    ],
)
def test_a_missing_driver_gives_the_install_command(
    url: str, requirement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_engine, "find_spec", lambda name: None)
    with pytest.raises(BackendNotInstalledError) as caught:
        open_backend(url)
    assert f"pip install '{requirement}'" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_is_named_relative_to_the_directory_or_absolutely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _engine.open_engine("sqlite:///a%20b.db")[0].url.database == "a b.db"
    assert _engine.open_engine(f"sqlite:///{tmp_path}/a.db")[0].url.database == f"{tmp_path}/a.db"
