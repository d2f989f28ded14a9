"""Which URLs are taken, and that errors show no secret."""

import pytest

from pyfly.config_core import BackendLookupError
from pyfly.config_git import GitConfigBackend
from pyfly.config_git._location import parse_url
from pyfly.config_server import open_backend
from pyfly.config_server.files import LabelsLayout, SpringLayout

KEY = "key_file=/k"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("git+https://host/a/b.git", "https://host/a/b.git"),
        ("git+https://host:8443/a%20b", "https://host:8443/a%20b"),
        ("git+https://ada:hunter2@host/a", "https://host/a"),
        ("git+http://localhost:3000/a", "http://localhost:3000/a"),
        ("git+http://[::1]/a", "http://[::1]/a"),
        ("git+http://host/a?insecure=true", "http://host/a"),
        (f"git+ssh://git@host:22/~/a.git?{KEY}", "ssh://git@host:22/~/a.git"),
        ("git+file:///srv/a%20b", "file:///srv/a b"),
    ],
)
def test_the_address_for_git_has_no_password_and_no_options(url: str, address: str) -> None:
    assert parse_url(url).address == address


@pytest.mark.parametrize(
    "url",
    [
        "git+https:",
        "git+https://",
        "git+https://host",
        "git+https://host/",
        "git+https:///a",
        "git+https://-oProxyCommand=x/a",
        "git+https://host:x/a",
        "git+https://host/a#hunter2",
        "git+https://host/a?hunter2",
        "git+https://host/a?hunter2=1",
        "git+https://host/a?refresh=1&refresh=2",
        "git+https://host/a?refresh=hunter2",
        "git+https://host/a?refresh=0",
        "git+https://host/a?refresh=nan",
        "git+https://host/a?write=yes",
        "git+https://host/a?layout=hunter2",
        "git+https://host/a?label=main",
        "git+https://host/a?layout=labels&profiles=dev",
        "git+https://host/a?key_file=/k",
        "git+https://host/a?password_file=/p",
        "git+https://ada:hunter2@host/a?password_file=/p",
        "git+https://ada@host/a?password_file=p",
        "git+https://host/a?credentials=hunter2",
        "git+https://ada:hunter2@host/a?credentials=netrc",
        "git+https://ada@host/a?credentials=helper&password_file=/p",
        f"git+ssh://git@host/a?{KEY}&credentials=netrc",
        "git+file:///a?credentials=helper",
        "git+https://host/a?agent=true",
        "git+https://host/a?passphrase_file=/p",
        "git+ssh://git@host/a?agent=true&passphrase_file=/p",
        "git+ssh://git@host/a?agent=yes",
        "git+https://a%0Ab:hunter2@host/a",
        "git+https://:hunter2@host/a",
        "git+http://host/a",
        "git+ssh://git@host/a",
        f"git+ssh://host/a?{KEY}",
        f"git+ssh://git:hunter2@host/a?{KEY}",
        f"git+ssh://-o@host/a?{KEY}",
        "git+ssh://git@host/a?key_file=/a%20b",
        f"git+ssh://git@host/a?{KEY}&known_hosts=/%25h",
        "git+file://host/a",
        "git+file:///a%0Ab",
        "git+file:///a?state=relative",
        "git+file:///a?state=/a%20b",
        "git+git://host/a",
        "https://host/a",
    ],
)
def test_any_other_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BackendLookupError) as refused:
        parse_url(url)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None or "hunter2" not in repr(refused.value.__cause__)


def test_options_are_taken_from_the_url() -> None:
    location = parse_url(
        "git+https://ada:a%2Fb@host/a?write=true&refresh=5&layout=labels&state=/var/lib/x"
    )
    assert (location.user, location.password, location.refresh) == ("ada", "a/b", 5.0)
    assert (location.writable, str(location.state)) == (True, "/var/lib/x")
    assert isinstance(location.layout, LabelsLayout)
    assert isinstance(parse_url("git+https://host/a").layout, SpringLayout)


@pytest.mark.parametrize("scheme", ["file", "http", "https", "ssh"])
def test_every_transport_is_a_scheme_of_its_own(scheme: str) -> None:
    host = {"file": "", "ssh": "git@host"}.get(scheme, "localhost")
    backend = open_backend(f"git+{scheme}://{host}/a?{KEY if scheme == 'ssh' else ''}")
    assert isinstance(backend, GitConfigBackend)


def test_no_password_is_shown() -> None:
    location = parse_url("git+https://ada:hunter2@host/a")
    assert "hunter2" not in repr(location)
    assert repr(GitConfigBackend(location)) == "GitConfigBackend('https://host/a')"
