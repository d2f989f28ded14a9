"""A Spring repository in which every rule for files shows, and what a document is made of.

`.properties` beside `.yml` beside `.yaml`, files of the profile `default`, base files, files that
can be read in two roles, several documents with conditions, names with `-`. What is expected is
worked out here from the rules alone, without a parser and without the product.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Profiles: TypeAlias = frozenset[str]

ENDINGS: Final = (".properties", ".yml", ".yaml")
"""Files of one name, the highest precedence first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file."""

    values: Mapping[str, int]
    expression: str = ""
    """The condition as it is written; empty for none."""
    is_active: Callable[[Profiles], bool] = lambda _: True
    """What the condition means."""


def _documents(name: str) -> tuple[Document, ...]:
    """Return what a file without anything special says: a key of its own and a common one."""
    stem, _, ending = name.rpartition(".")
    number = sum(name.encode())
    own = f"{stem}.{ending}".replace("-", "_").replace(".", "_")
    return (Document(values={"common": number, f"own.{own}": number}),)


_PLAIN: Final = (
    *("application.yml", "application.properties", "application-prod.yaml"),
    *("application-default.yml", "application-x.yml"),
    *("orders.yaml", "orders.yml", "orders.properties"),
    *("orders-prod.yml", "orders-prod.yaml", "orders-prod.properties"),
    *("orders-default.yml", "orders-default.properties", "orders-eu.yaml"),
    *("billing-default.yaml", "billing-prod.yml"),
    *("a.yml", "a-b.yml", "a-b.yaml", "a-b-c.properties", "a-b-c.yml", "a-c.yaml"),
)
FILES: Final[Mapping[str, tuple[Document, ...]]] = {
    **{name: _documents(name) for name in _PLAIN},
    "orders-eu.yml": (
        Document(values={"common": 1, "first": 1}),
        Document(
            values={"common": 2, "second": 2},
            expression="prod",
            is_active=lambda profiles: "prod" in profiles,
        ),
        Document(
            values={"common": 3, "third": 3},
            expression="eu & !prod",
            is_active=lambda profiles: "eu" in profiles and "prod" not in profiles,
        ),
    ),
    "billing.properties": (
        Document(values={"common": 4}),
        Document(
            values={"common": 5, "only": 5},
            expression="default | eu",
            is_active=lambda profiles: bool(profiles & {"default", "eu"}),
        ),
    ),
}
OTHER_FILES: Final = {
    "orders-prod.json": '{"a": "plain file"}',
    "orders.txt": "text\n",
    "sub/orders.yml": "common: 0\n",
}
APPLICATIONS: Final = (
    *("orders", "billing", "application", "a", "a-b", "a-b-c", "application-x", "nobody"),
    *("orders,billing", "a,a-b", "a-b,a", "billing,a-b-c", "application-x,orders"),
)
PROFILES: Final = (
    *("default", "prod", "eu", "b", "b-c", "c", "x", "nosuch"),
    *("prod,eu", "eu,prod", "default,prod", "prod,default", "b,c", "b-c,x", "x,default,eu"),
)


def contents() -> Iterator[tuple[str, str]]:
    """Yield the names and texts of all files."""
    yield from OTHER_FILES.items()
    for name, documents in FILES.items():
        is_yaml = not name.endswith(".properties")
        texts = [_yaml(one) if is_yaml else _properties(one) for one in documents]
        yield name, ("---\n" if is_yaml else "#---\n").join(texts)


def requests() -> Iterator[tuple[str, str]]:
    """Yield applications and profiles to ask for."""
    yield from itertools.product(APPLICATIONS, PROFILES)


def expected(applications: str, profiles: str) -> list[tuple[str, dict[str, object]]]:
    """Return the names and contents of property sources, the highest precedence first."""
    asked = frozenset(profiles.split(","))
    files = _in_lowest_roles([*_files(applications, profiles)])
    return [source for name in files for source in _sources(name, FILES[name], asked, name)]


def _files(applications: str, profiles: str) -> Iterator[str]:
    """Yield the files that are looked for and exist: by profile, application, ending."""
    names = [*dict.fromkeys(["application", *applications.split(",")])]
    stems = [
        f"{application}-{profile}"
        for profile in reversed(dict.fromkeys(profiles.split(",")))
        for application in reversed(names)
    ]
    for stem in (*stems, *reversed(names)):
        yield from (stem + ending for ending in ENDINGS if stem + ending in FILES)


def _in_lowest_roles(files: Sequence[str]) -> list[str]:
    """Leave out a file where it comes again below."""
    return [name for place, name in enumerate(files) if name not in files[place + 1 :]]


def _sources(
    name: str, documents: Sequence[Document], asked: Profiles, file: str
) -> Iterator[tuple[str, dict[str, object]]]:
    is_text = file.endswith(".properties")
    for number, document in reversed([*enumerate(documents)]):
        if document.is_active(asked):
            place = f" (document #{number})" if len(documents) > 1 else ""
            values: dict[str, object] = {
                k: str(v) if is_text else v for k, v in document.values.items()
            }
            condition: dict[str, object] = {
                "spring.config.activate.on-profile": document.expression
            }
            yield name + place, (condition if document.expression else {}) | values


def _yaml(document: Document) -> str:
    condition = f'spring.config.activate.on-profile: "{document.expression}"\n'
    lines = "".join(f"{key}: {value}\n" for key, value in document.values.items())
    return (condition if document.expression else "") + lines


def _properties(document: Document) -> str:
    condition = f"spring.config.activate.on-profile={document.expression}\n"
    lines = "".join(f"{key}={value}\n" for key, value in document.values.items())
    return (condition if document.expression else "") + lines
