"""What a request says about time, in headers that are lists with quoted texts."""

import pytest

from pyfly.config_server import HttpRequest
from pyfly.config_server.http.negotiation import MAX_ELEMENTS, elements
from pyfly.config_server.http.preferences import must_be_fresh, wait_of


def request(name: bytes, value: str, *, method: str = "GET") -> HttpRequest:
    return HttpRequest(method=method, raw_path=b"/", headers=[(name, value.encode())])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("wait=45", 45),
        ("WAIT = 45", 45),
        ('wait="45"', 45),
        ("respond-async, wait=45;soon", 45),
        ('wait=45; why="a, b; wait=1"', 45),
        ("wait=9999", 300),
        ('foo="x,wait=1"', None),
        ('foo="x\\",wait=1"', None),
        ('foo="x;wait=1", wait=2', 2),
        ('foo="x\\",wait=1", wait=2', 2),
        ('foo="x,wait=1', None),
        ("foo; wait=1", None),
        ("foo=wait=1", None),
        ('wait="45', None),
        ("wait=-1", None),
        ("wait=\u0664\u0665", None),
        ("wait=0", None),
        ("wait", None),
        ("", None),
    ],
)
def test_a_wait_is_an_element_of_the_list(value: str, seconds: int | None) -> None:
    assert wait_of(request(b"prefer", value)) == seconds
    assert wait_of(request(b"prefer", value, method="HEAD")) is None


@pytest.mark.parametrize(
    ("value", "is_fresh"),
    [
        ("no-cache", True),
        ("max-age=0, No-Cache ", True),
        ('private="a,no-cache"', False),
        ('private="a,b", no-cache', True),
    ],
)
def test_no_cache_is_an_element_of_the_list(value: str, is_fresh: bool) -> None:
    assert must_be_fresh(request(b"cache-control", value)) is is_fresh


@pytest.mark.parametrize("element", ["a", '"a"', '"a,b"', "\\", '"\\"'])
def test_a_long_list_is_cut(element: str) -> None:
    assert len(elements(", ".join([element] * 10_000))) <= MAX_ELEMENTS


def test_no_text_of_a_list_is_lost_or_joined() -> None:
    assert elements('a="1,2\\"3,4";b,c,"d') == ['a="1,2\\"3,4";b', "c", '"d']
