"""Asking an old server and a new one for flattened formats and plain files."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pyfly.config_cli._console.progress import ProgressBar
from pyfly.config_cli._migration.compared_documents import CONCURRENT, ComparedDocument, Request
from pyfly.config_cli._migration.document_differences import DocumentDifference, What
from pyfly.config_cli._migration.old_server import OldServer
from pyfly.config_core import DEFAULT_PROFILE
from pyfly.config_server import ConfigServer, Controller, HttpRequest
from pyfly.config_server.formats.text import same_tree
from pyfly.config_server.storage import SupportsResources, ability

__all__ = ["TextRequest", "compare_texts", "file_requests", "flattened_requests", "list_files"]

_SUFFIXES: Final = (".json", ".properties", ".yml")
_OK: Final = 200
_ABSENT: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """A document in a flattened format, or a plain file."""

    request: Request
    path: str
    """Encoded, below the prefix of a server, with its query."""
    source: str
    """What is shown: the suffix of the format, or the path of the file."""
    accept: str


def flattened_requests(wanted: Sequence[Request], *, default_label: str) -> Iterator[TextRequest]:
    """Yield the flattened formats of documents. The default label is not named."""
    for one in wanted:
        label = "" if one.label == default_label else f"{_segment(one.label)}/"
        for suffix in _SUFFIXES:
            name = f"{one.application}-{one.profile}{suffix}"
            path = f"{label}{_segment(name)}"
            yield TextRequest(request=one, path=path, source=suffix, accept="*/*")


def file_requests(
    wanted: Sequence[Request], files: Mapping[str, Sequence[str]], *, default_label: str
) -> Iterator[TextRequest]:
    """Yield the plain files of labels, each once: for the first application of its label.

    Args:
        wanted: The documents that are compared.
        files: The paths of the files of each label.
        default_label: The label that is not named.
    """
    first = {one.label: one.application for one in reversed(wanted)}
    for label, paths in files.items():
        one = Request(label=label, application=first[label], profile=DEFAULT_PROFILE)
        start, query = f"{_segment(one.application)}/{one.profile}", ""
        if label == default_label:
            query = "?useDefaultLabel"
        else:
            start = f"{start}/{_segment(label)}"
        for path in paths:
            yield TextRequest(
                request=one,
                path=f"{start}/{quote(path)}{query}",
                source=path,
                accept="application/octet-stream",
            )


async def list_files(server: ConfigServer, labels: Sequence[str]) -> dict[str, list[str]]:
    """Return the paths of the plain files of each label, in all stores that have any."""
    found: dict[str, list[str]] = {}
    for label in labels:
        paths: set[str] = set()
        for backend in server.backends:
            store = ability(backend, SupportsResources)
            if store is not None:
                paths.update([entry.path async for entry in store.resources(label)])
        found[label] = sorted(paths)
    return found


async def compare_texts(
    old: OldServer, new: ConfigServer, wanted: Sequence[TextRequest]
) -> list[ComparedDocument]:
    """Ask both for every text; return how they differ, in the order of the requests.

    Raises:
        ConfigError: The old server cannot be reached or refuses.
    """
    controller = Controller(new, auth=None)
    found: list[ComparedDocument] = []
    with ProgressBar("Comparing texts", total=len(wanted)) as bar:
        for start in range(0, len(wanted), CONCURRENT):
            batch = wanted[start : start + CONCURRENT]
            bar.show(start, batch[0].path)
            try:
                async with asyncio.TaskGroup() as group:
                    compared = (_compared(old, controller, new.base_path, one) for one in batch)
                    tasks = [group.create_task(one) for one in compared]
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None
            found += [task.result() for task in tasks]
    return found


async def _compared(
    old: OldServer, controller: Controller, base_path: str, wanted: TextRequest
) -> ComparedDocument:
    status, text = await old.read(wanted.path, accept=wanted.accept)
    path, _, query = wanted.path.partition("?")
    answer = await controller.handle(
        HttpRequest(
            method="GET",
            raw_path=f"{base_path}/{path}".encode(),
            query=query.encode(),
            headers=((b"accept", wanted.accept.encode()),),
        )
    )
    difference: list[DocumentDifference] = []
    if status != answer.status:
        difference = [
            DocumentDifference(
                what=What.STATUS, source=wanted.source, old=status, new=answer.status
            )
        ]
    elif status == _OK and not _same(wanted.source, text, answer.body):
        difference = [DocumentDifference(what=What.TEXT, source=wanted.source)]
    return ComparedDocument(
        request=wanted.request, is_absent=status == _ABSENT, differences=difference
    )


def _same(source: str, one: bytes, other: bytes) -> bool:
    if one == other or source != ".json":
        return one == other
    try:
        return same_tree(json.loads(one), json.loads(other))
    except (ValueError, RecursionError):
        return False


def _segment(text: str) -> str:
    return quote(text.replace("/", "(_)"), safe="()")
