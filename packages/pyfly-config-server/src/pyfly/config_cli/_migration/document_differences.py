"""How two documents of one application differ. Pure functions."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final, TypeAlias

from pyfly.config_core import Environment, FlatValue, PropertySource
from pyfly.config_server.formats.text import same_tree

__all__ = ["DocumentDifference", "Outcome", "What", "differences", "file_part"]

Outcome: TypeAlias = Environment | int
"""A document, or the status 404 or 500 of a document that there is not."""

_RESOURCE: Final = re.compile(r"\[(?P<path>[^\[\]]*)\]")
_DOCUMENT: Final = re.compile(r" \(document #(?P<number>\d+)\)")
_STORE: Final = re.compile(r" \(store #\d+\)")
_EXTENSION: Final = re.compile(r"\.(?:ya?ml|properties|json|xml)$")
_Name: TypeAlias = tuple[str, int, int]
"""A file, a document in it, and how many sources of that name come before."""


@unique
class What(Enum):
    """The kind of a difference."""

    STATUS = "status"
    """One server has a document, the other an error; or they have different errors."""
    ONLY_OLD = "only in the old server"
    """The property source, or the property of a source."""
    ONLY_NEW = "only in the store"
    """The same."""
    ORDER = "another order"
    """Both have the same property sources, in another order."""
    VALUE = "differs"
    """Both have the property, with different values or types."""
    TEXT = "another text"
    """Both have the flattened format or the plain file, with different content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDifference:
    """One difference between two documents."""

    what: What
    source: str | None = None
    """The file part of the name of a property source; the suffix of a flattened format; the path
    of a plain file."""
    key: str | None = None
    """The property; `None` if the whole source is meant."""
    old: FlatValue | None = field(default=None, repr=False)
    """The value in the old server; the status, if that is the difference."""
    new: FlatValue | None = field(default=None, repr=False)
    """The value in the store; the status, if that is the difference."""


def differences(old: Outcome, new: Outcome) -> list[DocumentDifference]:
    """Return the differences, in the order of the property sources and of their keys.

    Property sources are the same if the file part of their names and the number of their document
    are the same: servers name the place of a file differently. Name, profiles, label, version and
    state of a document are not compared.
    """
    if isinstance(old, int) or isinstance(new, int):
        one, other = _status(old), _status(new)
        return [] if one == other else [DocumentDifference(what=What.STATUS, old=one, new=other)]
    return [*_of_sources(_named(old.property_sources), _named(new.property_sources))]


def file_part(name: str) -> str:
    """Return the name of the file of a property source, without directories and extension.

    >>> file_part("Config resource 'file [/tmp/repo/orders-prod.yml]' via location 'x'")
    'orders-prod'
    >>> file_part("git@example.com:config.git/orders.yml"), file_part("main/orders.yaml")
    ('orders', 'orders')
    >>> file_part("s3:orders-prod (document #1)"), file_part("overrides")
    ('orders-prod', 'overrides')
    """
    plain = _STORE.sub("", _DOCUMENT.sub("", name))
    found = _RESOURCE.search(plain)
    path = plain if found is None else found["path"]
    return _EXTENSION.sub("", re.split(r"[/\\:]", path)[-1])


def _status(outcome: Outcome) -> int:
    return outcome if isinstance(outcome, int) else 200


def _named(sources: Sequence[PropertySource]) -> dict[_Name, PropertySource]:
    named: dict[_Name, PropertySource] = {}
    seen: Counter[tuple[str, int]] = Counter()
    for source in sources:
        found = _DOCUMENT.search(source.name)
        name = file_part(source.name), int(found["number"]) if found else 0
        named[(*name, seen[name])] = source
        seen[name] += 1
    return named


def _of_sources(
    old: dict[_Name, PropertySource], new: dict[_Name, PropertySource]
) -> Iterator[DocumentDifference]:
    shared = [name for name in old if name in new]
    if shared != [name for name in new if name in old]:
        yield DocumentDifference(what=What.ORDER)
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield DocumentDifference(what=What.ONLY_OLD, source=_shown(name))
        elif name not in old:
            yield DocumentDifference(what=What.ONLY_NEW, source=_shown(name))
        else:
            yield from _of_properties(_shown(name), old[name], new[name])


def _of_properties(
    name: str, old: PropertySource, new: PropertySource
) -> Iterator[DocumentDifference]:
    for key in dict.fromkeys([*old.source, *new.source]):
        one, other = old.source.get(key), new.source.get(key)
        if key not in new.source:
            yield DocumentDifference(what=What.ONLY_OLD, source=name, key=key, old=one)
        elif key not in old.source:
            yield DocumentDifference(what=What.ONLY_NEW, source=name, key=key, new=other)
        elif not same_tree(one, other):
            yield DocumentDifference(what=What.VALUE, source=name, key=key, old=one, new=other)


def _shown(name: _Name) -> str:
    file, document, _ = name
    return f"{file} (document #{document})" if document else file
