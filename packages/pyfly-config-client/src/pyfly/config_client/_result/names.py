"""Spellings of a property's name: relaxed ones, and those of environment variables."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

_SEPARATORS: Final = re.compile(r"[.\[]+")
_REMOVED: Final = re.compile(r"[-\]]")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9_]")
_IGNORED: Final = str.maketrans("", "", "-_")


def relaxed(key: str) -> str:
    """Return what all spellings of a key have in common (Spring's relaxed binding).

    >>> {relaxed(key) for key in ("db.pool-size", "db.poolSize", "db.pool_size", "DB_POOLSIZE")}
    {'db.poolsize'}
    """
    if "." not in key and key.isupper():
        key = key.replace("_", ".")
    return folded(key)


def folded(name: str) -> str:
    """Return a name of one part without what spellings differ in."""
    return name.lower().translate(_IGNORED)


def variable(key: str) -> str:
    """Return the environment variable that stands for a key (Spring's rule).

    >>> variable("db.pool-size"), variable("hosts[0].name")
    ('DB_POOLSIZE', 'HOSTS_0_NAME')
    """
    return _NOT_IN_NAMES.sub("_", _REMOVED.sub("", _SEPARATORS.sub("_", key)).upper())


def below(keys: Iterable[str], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the keys that are `prefix` or lie below it, with what follows the prefix.

    >>> list(below(["db.url", "DB.hosts[0]", "dbx", "db"], "db"))
    [('db.url', '.url'), ('DB.hosts[0]', '.hosts[0]'), ('db', '')]
    """
    wanted = relaxed(prefix)
    ends: dict[str, bool] = {}
    for key in keys:
        for end in _ends(key):
            stem = key[:end]
            if stem not in ends:
                ends[stem] = relaxed(stem) == wanted
            if ends[stem]:
                yield key, key[end:]
                break


def _ends(key: str) -> Iterator[int]:
    """Yield where a part of a key ends."""
    for position, char in enumerate(key):
        if char in ".[" and position:
            yield position
    yield len(key)


def from_variables(
    keys: Iterable[str], environ: Mapping[str, str], prefix: str = ""
) -> dict[str, str]:
    """Return the keys that environment variables set, a list also as a whole: `HOSTS=a,b`."""
    found: dict[str, str] = {}
    for key in keys:
        stem = key.partition("[")[0]
        for name in dict.fromkeys((stem, key)):
            if (value := environ.get(prefix + variable(name))) is not None:
                found[name] = value
    return found
