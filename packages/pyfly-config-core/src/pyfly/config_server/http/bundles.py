"""Our own routes: the stored bundles, read as they are and written under conditions (design §5)."""

import time
from functools import partial
from typing import Final

from pyfly.config_core import (
    ConfigFormatError,
    ConfigKey,
    JsonValue,
    decode_slashes,
)
from pyfly.config_server.composition.budgets import is_large, run
from pyfly.config_server.composition.bundles import Bundles
from pyfly.config_server.formats.documents import (
    bundle_document,
    encode_json,
    entry_document,
    name_document,
    version_document,
)
from pyfly.config_server.formats.text import parse_mapping
from pyfly.config_server.http.answers import JSON, answer, bounded_answer, json_answer
from pyfly.config_server.http.bodies import media_type, read_utf8
from pyfly.config_server.http.messages import Headers, HttpRequest, HttpResponse, header
from pyfly.config_server.http.negotiation import negotiate
from pyfly.config_server.http.paging import (
    encode_cursor,
    encode_version_cursor,
    parse_history_page,
    parse_page,
)
from pyfly.config_server.http.preconditions import entity_tag, required_condition
from pyfly.config_server.http.refusals import Refusal
from pyfly.config_server.http.routes import Match
from pyfly.config_server.storage import ABSENT, ConfigSource

PAGE_SECONDS: Final = 1.0
"""A page of a listing ends after this time, with as many rows as there are by then."""
_LARGE: Final = 16_384
"""Bytes of a body from which on it is parsed in a thread."""
_SUFFIXES: Final = {
    JSON: ".json",
    "application/yaml": ".yaml",
    "application/x-yaml": ".yaml",
    "text/yaml": ".yaml",
    "text/x-yaml": ".yaml",
}


class BundleRoutes:
    """Answers the routes below `_bundles`; `Controller` has checked the credential."""

    def __init__(self, bundles: Bundles) -> None:
        self._bundles = bundles

    async def page(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Return one page of names and versions.

        A store may have to read each bundle for its version, so a page is bounded in time, too.
        """
        del match  # this route has no parameters
        _check_accepts_json(request)
        page = parse_page(request.query)
        deadline = time.monotonic() + PAGE_SECONDS
        rows: list[JsonValue] = []
        looked_at: ConfigKey | None = None
        following: ConfigKey | None = None
        async for entry in self._bundles.entries(page.label, after=page.after):
            wanted = page.includes(entry.key)
            is_full = wanted and len(rows) == page.limit
            if looked_at is not None and (is_full or time.monotonic() > deadline):
                following = looked_at
                break
            looked_at = entry.key
            if wanted:
                rows.append(entry_document(entry))
        document: dict[str, JsonValue] = {
            "bundles": rows,
            "next": None if following is None else encode_cursor(following),
        }
        return answer(request, encode_json(document), JSON)

    async def bundle(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Read, replace, create or remove one bundle."""
        key = _key(match)
        if request.method == "PUT":
            return await self._put(request, key)
        if request.method == "DELETE":
            await self._bundles.delete(key, expected=required_condition(request))
            return HttpResponse(status=204)
        _check_accepts_json(request)
        return await _bundle_answer(request, await self._bundles.load(key))

    async def history(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Return one page of the changes of a bundle, newest first."""
        _check_accepts_json(request)
        page = parse_history_page(request.query)
        versions = self._bundles.versions(_key(match), most=page.limit + 1, before=page.before)
        found = [version async for version in versions]
        rows: list[JsonValue] = [version_document(row) for row in found[: page.limit]]
        is_last = len(found) <= page.limit
        document: dict[str, JsonValue] = {
            "versions": rows,
            "next": None if is_last else encode_version_cursor(found[page.limit - 1].version),
        }
        body = encode_json(document)
        return bounded_answer(request, body, JSON, advice="ask for fewer versions with ?limit=")

    async def version(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Return one bundle as it was."""
        _check_accepts_json(request)
        key, version = _key(match), match.parameters["version"]
        return await _bundle_answer(request, await self._bundles.load_version(key, version))

    async def rollback(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Store the content of an old version anew."""
        key = _key(match)
        expected = required_condition(request)
        body = await read_utf8(request)
        if media_type(request) != JSON:
            raise _unsupported((JSON,))
        try:
            parse = partial(parse_mapping, body, suffix=".json")
            wanted: object = (await run(parse, large=len(body) > _LARGE)).get("version")
        except ConfigFormatError as error:
            raise _invalid(error) from error
        if not isinstance(wanted, str):
            raise Refusal(422, "invalid-rollback", 'the body is {"version": "<version>"}')
        version = await self._bundles.rollback(key, version=wanted, expected=expected)
        return _written(key, version, status=200)

    async def _put(self, request: HttpRequest, key: ConfigKey) -> HttpResponse:
        expected = required_condition(request)
        suffix = _SUFFIXES.get(media_type(request))
        if suffix is None:
            raise _unsupported(tuple(_SUFFIXES))
        body = await read_utf8(request)
        try:
            parse = partial(_parsed, key, body, suffix)
            source = await run(parse, large=len(body) > _LARGE)
            version = await self._bundles.commit(source, expected=expected)
        except ConfigFormatError as error:
            if error.where is not None:  # a stored file, not what was sent
                raise
            raise _invalid(error) from error
        if expected is not ABSENT:
            return _written(key, version, status=200)
        location = (b"location", request.raw_path)
        return _written(key, version, status=201, headers=(location,))


def _key(match: Match) -> ConfigKey:
    return ConfigKey(
        application=decode_slashes(match.parameters["application"]),
        profile=match.parameters["profile"],
        label=decode_slashes(match.parameters["label"]),
    )


def _parsed(key: ConfigKey, body: bytes, suffix: str) -> ConfigSource:
    return ConfigSource(
        application=key.application,
        profile=key.profile,
        label=key.label,
        properties=parse_mapping(body, suffix=suffix),
    )


async def _bundle_answer(request: HttpRequest, source: ConfigSource) -> HttpResponse:
    tag = None if source.version is None else entity_tag(source.version)

    def respond() -> HttpResponse:
        return answer(request, encode_json(bundle_document(source)), JSON, entity_tag=tag)

    return await run(respond, large=is_large([source.properties]))


def _written(key: ConfigKey, version: str, *, status: int, headers: Headers = ()) -> HttpResponse:
    return json_answer(
        name_document(key) | {"version": version},
        status=status,
        headers=((b"etag", entity_tag(version)), *headers),
    )


def _invalid(error: ConfigFormatError) -> Refusal:
    return Refusal(422, "invalid-properties", str(error))


def _unsupported(taken: tuple[str, ...]) -> Refusal:
    return Refusal(415, "unsupported-media-type", f"say Content-Type: {' or '.join(taken)}")


def _check_accepts_json(request: HttpRequest) -> None:
    if negotiate(header(request, b"accept"), (JSON,)) is None:
        raise Refusal(406, "not-acceptable", f"available: {JSON}")
