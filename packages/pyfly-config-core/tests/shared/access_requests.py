"""The requests of the access matrix: every endpoint with every kind of name, and who may send it.

The requests are made from the table of endpoints. `ROWS` says for each endpoint what is asked for;
an endpoint without a row fails the test of the matrix.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, unique

from access_principals import covers, covers_file, holds

from pyfly.config_server.http.endpoint import Endpoint, Root
from pyfly.config_server.http.endpoints import ENDPOINTS


@unique
class Subject(Enum):
    """What an endpoint decides on."""

    EVERYONE = "nothing: everybody is answered"
    SERVER = "the server as a whole"
    DOCUMENT = "all applications, profiles and labels of a document"
    FILE = "a plain file"
    BUNDLE = "one stored bundle"
    LISTING = "all bundles: each row is decided on its own"


EVERYBODY = (Subject.EVERYONE, "")
ROWS = {
    "openapi": EVERYBODY,
    "whoami": EVERYBODY,
    "live": EVERYBODY,
    "ready": EVERYBODY,
    "springHealth": EVERYBODY,
    "metrics": (Subject.SERVER, "operate"),
    "monitor": (Subject.SERVER, "operate"),
    "listBundles": (Subject.LISTING, "inspect"),
    "changes": (Subject.LISTING, "inspect"),
    "readBundle": (Subject.BUNDLE, "inspect"),
    "writeBundle": (Subject.BUNDLE, "write"),
    "patchBundle": (Subject.BUNDLE, "write"),
    "deleteBundle": (Subject.BUNDLE, "write"),
    "listVersions": (Subject.BUNDLE, "inspect"),
    "readVersion": (Subject.BUNDLE, "inspect"),
    "rollbackBundle": (Subject.BUNDLE, "write"),
    "encryptionStatus": (Subject.SERVER, "encrypt"),
    "publicKey": (Subject.SERVER, "encrypt"),
    "publicKeyForApplication": (Subject.SERVER, "encrypt"),
    "encrypt": (Subject.SERVER, "encrypt"),
    "encryptForApplication": (Subject.SERVER, "encrypt"),
    "decrypt": (Subject.SERVER, "decrypt"),
    "decryptForApplication": (Subject.SERVER, "decrypt"),
    "flattened": (Subject.DOCUMENT, "read"),
    "flattenedAtLabel": (Subject.DOCUMENT, "read"),
    "environment": (Subject.DOCUMENT, "read"),
    "environmentAtLabel": (Subject.DOCUMENT, "read"),
    "resource": (Subject.FILE, "files"),
    "resourceAtDefaultLabel": (Subject.FILE, "files"),
}
"""For each endpoint what it decides on, and the right that is needed."""


@dataclass(frozen=True)
class Names:
    """The names of a request."""

    applications: str = "orders"
    profiles: str = "prod"
    label: str = "main"
    path: str = "orders/own.txt"
    also: tuple[tuple[str, str, str], ...] = ()
    """Bundles of others whose files are opened by these names, in stores of files."""
    in_spring: tuple[tuple[str, str, str], ...] = ()
    """The same in the layout of Spring, where `orders-service.yml` is a guess."""


NAMES = [
    Names(),
    Names(profiles="dev"),
    Names(profiles="dev,prod"),
    Names(label="feature/x"),
    Names(label="main,feature/x"),
    Names(applications="billing", path="billing/foreign.txt"),
    Names(applications="billing", profiles="absent", path="billing/absent.txt"),
    Names(applications="absent", path="absent.txt"),
    Names(applications="orders,billing", path="orders/filled.txt"),
    Names(applications="billing,orders"),
    Names(applications="application,orders"),
    Names(applications="orders,application"),
    Names(applications="application,billing"),
    Names(applications="application"),
    Names(applications="orders-service", in_spring=(("orders", "service", "main"),)),
    Names(profiles="service", in_spring=(("orders-service", "-", "main"),)),
    Names(profiles="service-prod", also=(("orders-service", "prod", "main"),)),
    Names(applications="billing", label="feature/x", path="orders/own.txt"),
    Names(path="orders-prod.yml"),
    Names(path="billing-prod.yml"),
    Names(applications="Orders"),
]
_WORDS = {"extension": "yml", "version": "1"}


@dataclass(frozen=True)
class Kind:
    """What the matrix has to know about a store."""

    has_files: bool = True
    """True if bundles lie in files: then some names open the bundles of others."""
    is_spring: bool = False
    """True in the layout of Spring."""
    has_one_label: bool = False
    """True if there is the label `main` only."""
    apart: str | None = None
    """An application that lies in a store of its own: refused together with other ones."""

    def refuses(self, names: Names) -> bool:
        """True if a request for these applications is refused for everybody."""
        own = {*names.applications.split(",")} - {"application"}
        return self.apart in own and len(own) > 1


@dataclass(frozen=True)
class Asked:
    """A request, and what it is about."""

    endpoint: Endpoint
    names: Names
    target: str

    def __str__(self) -> str:
        return f"{self.endpoint.method} {self.target}"


def requests(kind: Kind) -> Iterator[Asked]:
    """Yield the requests of the matrix for a store, each once."""
    seen: set[tuple[str, str]] = set()
    for endpoint, names in itertools.product(ENDPOINTS, NAMES):
        if kind.has_one_label and "feature/x" in names.label:
            continue
        lists = "," in names.applications + names.profiles + names.label
        if "{application}" in endpoint.path and lists:
            continue  # refused for everybody
        if "{name}-{profiles}" in endpoint.path and "-" in names.profiles:
            continue  # means something else there
        asked = _asked(endpoint, names)
        if (endpoint.id, asked.target) not in seen:
            seen.add((endpoint.id, asked.target))
            yield asked


def _asked(endpoint: Endpoint, names: Names) -> Asked:
    if "{label}" not in endpoint.path:
        names = replace(names, label="main")
    if endpoint.selector:  # it takes one part
        names = replace(names, path=names.path.rpartition("/")[2])
    words = _WORDS | {
        "name": names.applications,
        "application": names.applications,
        "profiles": names.profiles,
        "profile": names.profiles,
        "label": names.label.replace("/", "(_)"),
        "path": names.path,
    }
    path = endpoint.path
    for parameter in re.findall(r"\{(\w+)\}", path):
        path = path.replace(f"{{{parameter}}}", words[parameter])
    base = "/config" if endpoint.root is Root.BASE_PATH else ""
    query = f"?{endpoint.selector}" if endpoint.selector else ""
    return Asked(endpoint=endpoint, names=names, target=base + path + query)


def _split(names: Names) -> Iterator[tuple[str, str, str]]:
    yield from itertools.product(
        names.applications.split(","), names.profiles.split(","), names.label.split(",")
    )


def is_allowed(principal: str, asked: Asked, kind: Kind) -> bool:
    """Return what the matrix demands."""
    subject, right = ROWS[asked.endpoint.id]
    match subject:
        case Subject.EVERYONE:
            return True
        case Subject.SERVER | Subject.LISTING:
            return holds(principal, right)
        case Subject.FILE:
            return _may_read_file(principal, asked.names)
        case Subject.DOCUMENT | Subject.BUNDLE:
            return all(
                covers(principal, right, *one) for one in _opened_names(subject, asked.names, kind)
            )


def _may_read_file(principal: str, names: Names) -> bool:
    labels = names.label.split(",")
    if not all(covers_file(principal, one, names.path) for one in labels):
        return False
    is_filled = names.path == "orders/filled.txt"
    return not is_filled or all(covers(principal, "read", *one) for one in _split(names))


def _opened_names(subject: Subject, names: Names, kind: Kind) -> list[tuple[str, str, str]]:
    """Return all bundles on which a right is needed."""
    needed = [*_split(names)]
    if subject is Subject.DOCUMENT:  # shared bundles come with any document
        needed = [one for one in needed if one[0] != "application"] or needed
    if kind.has_files:
        needed += names.also
    if kind.is_spring and (subject is Subject.DOCUMENT or names.profiles == "service"):
        needed += names.in_spring
    return needed


def may_open(principal: str, asked: Asked) -> bool:
    """True if a principal may read the bundle that a request opens as a plain file."""
    path = asked.names.path
    if ROWS[asked.endpoint.id][0] is not Subject.FILE or "/" in path or not path.endswith(".yml"):
        return True
    application, _, profile = path.removesuffix(".yml").rpartition("-")
    labels = asked.names.label.split(",")
    return all(covers(principal, "inspect", application, profile, label) for label in labels)
