import argparse
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._settings import (
    SettingsError,
    add_arguments,
    parse_settings,
    to_environment,
)


def settings(*argv: str, **environ: str) -> Any:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    prefixed = {f"PYFLY_CONFIG_SERVER_{name}": value for name, value in environ.items()}
    return parse_settings(to_environment(parser.parse_args(argv), prefixed | {"HOME": "/x"}))


def test_a_directory_is_enough(tmp_path: Path) -> None:
    found = settings(str(tmp_path))
    assert (found.backend, found.url) == (tmp_path.as_uri(), "http://127.0.0.1:8888/config")
    assert (found.workers, found.default_label, found.credential) == (1, "main", None)


def test_an_argument_wins_over_the_environment(tmp_path: Path) -> None:
    found = settings(
        "memory:", "--port", "9000", "--base-path", "", BACKEND=str(tmp_path), PORT="1", HOST="::1"
    )
    assert (found.backend, found.url) == ("memory:", "http://[::1]:9000")


def test_a_url_is_shown_without_what_it_may_carry() -> None:
    found = settings("postgresql://user:marker@host/db")
    assert found.shown == "postgresql:"
    assert "marker" not in repr(found)


def test_credentials_come_from_the_environment_and_stay_hidden() -> None:
    basic = settings("memory:", USERNAME="u", PASSWORD="marker-1")
    bearer = settings("memory:", TOKEN="marker-2")
    assert (basic.credential.scheme, bearer.credential.scheme) == ("basic", "bearer")
    assert "marker" not in repr(basic) + repr(bearer)


def test_other_machines_are_served_with_a_credential_or_on_demand() -> None:
    assert settings("memory:", "--host", "0.0.0.0", TOKEN="x").host == "0.0.0.0"
    assert settings("memory:", "--host", "0.0.0.0", "--insecure").host == "0.0.0.0"
    assert settings("memory:", INSECURE="true", HOST="config.example").host == "config.example"
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert settings("memory:", "--host", host).host == host


@pytest.mark.parametrize(
    ("argv", "environ", "said"),
    [
        ((), {}, "pyfly-config serve ./config"),
        (("./nowhere",), {}, "there is no directory './nowhere'"),
        ((__file__,), {}, "is a file"),
        (("memory:", "--port", "x"), {}, "port must be a number"),
        (("memory:", "--port", "0"), {}, "from 1 to 65535"),
        (("memory:", "--port", "65536"), {}, "from 1 to 65535"),
        (("memory:", "--port", "٣"), {}, "port must be a number"),
        (("memory:", "--workers", "2"), {}, "one worker"),
        (("memory:", "--workers", "-1"), {}, "workers must be"),
        (("memory:", "--host", "0.0.0.0"), {}, "no credential is configured"),
        (("memory:", "--host", "config.example"), {}, "--insecure"),
        (("memory:",), {"PROT": "1"}, "did you mean PYFLY_CONFIG_SERVER_PORT?"),
        (("memory:",), {"ZZZ": "1"}, "known are: BACKEND, HOST"),
        (("memory:",), {"USERNAME": "u"}, "belong together"),
        (("memory:",), {"USERNAME": "u", "PASSWORD": "p", "TOKEN": "t"}, "not both"),
        (("memory:",), {"USERNAME": "u:v", "PASSWORD": "p"}, "without ':'"),
        (("memory:",), {"TOKEN": "a b"}, "white space"),
        (("memory:",), {"INSECURE": "maybe"}, "'true' or 'false'"),
    ],
)
def test_what_cannot_be_used_is_explained(argv: Any, environ: Any, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(*argv, **environ)
    assert said in str(caught.value)
