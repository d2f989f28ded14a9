"""`/encrypt`, `/decrypt`, `/key` and `/encrypt/status`.

The prefix of a text selects the key. The application in the path counts only with `?key=`, for
cipher texts that are bound to it and to that key of its bundles; the profiles are checked only.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import unquote_plus

from pyfly.config_core import CipherError, EncryptionKeyError, split_names, split_profiles
from pyfly.config_core.bound_ciphers import is_bound
from pyfly.config_server.access import Right
from pyfly.config_server.http.authorization import server_right
from pyfly.config_server.http.bodies import media_type, read_utf8
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Body, Endpoint, Result
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest, HttpResponse
from pyfly.config_server.http.negotiation import negotiate
from pyfly.config_server.http.parameters import NAME, PROFILES, text_parameter
from pyfly.config_server.http.responses import JSON, TEXT, json_response, text_response
from pyfly.config_server.http.results import PLAIN_TEXT
from pyfly.config_server.http.schemas import (
    ERROR,
    TEXT_SCHEMA,
    Schema,
    object_of,
    reference,
)

__all__ = ["ENDPOINTS"]

_PLAIN_TEXT: Final = "text/plain"
_KEY: Final = text_parameter(
    "key",
    "query",
    "A key of the bundles of the application: the cipher text is bound to both. The profiles do "
    "not count.",
)
_UNPLACED: Final = (
    "The text is bound to a place: use the route with /{application}/{profiles} and ?key="
)
_FORM: Final = "application/x-www-form-urlencoded"


async def _status(context: RequestContext) -> HttpResponse:
    """Return 200 if there is a key, else 404."""
    encryption = context.server.options.encryption
    if encryption.keys is None and encryption.bound is None:
        return _no_key()
    return json_response({"status": "OK"}, status=200)


async def _public_key(context: RequestContext) -> HttpResponse:
    """Return the public key, 404 if there is none."""
    _check_names(context)
    keys = context.server.options.encryption.keys
    if keys is None or keys.default.public_key is None:
        return _failure(404, "NOT_FOUND", "No public key available")
    return text_response(keys.default.public_key, TEXT)


async def _encrypt(context: RequestContext) -> HttpResponse:
    """Return the cipher text of the body, without `{cipher}`."""
    _check_names(context)
    encryption = context.server.options.encryption
    place = _place(context)
    request = context.request
    if place is not None:
        if encryption.bound is None:
            return _no_key()
        application, key = place
        convert: Callable[[str], str] = partial(
            encryption.bound.encrypt, application=application, key=key
        )
    elif encryption.keys is None:
        return _no_key()
    else:
        convert = encryption.keys.encrypt
    return await _converted(request, convert, await _submitted(request, is_cipher=False))


async def _decrypt(context: RequestContext) -> HttpResponse:
    """Return the clear text of the body, if the server allows decryption."""
    _check_names(context)
    encryption = context.server.options.encryption
    if encryption.keys is None and encryption.bound is None:
        return _no_key()
    if not encryption.answers_decrypt:
        raise HttpError(403, "forbidden", "decryption over HTTP is disabled")
    place = _place(context)
    request = context.request
    text = await _submitted(request, is_cipher=True)
    if is_bound(text):
        if encryption.bound is None:
            return _no_key()
        if place is None:
            return _failure(400, "INVALID", _UNPLACED)
        application, key = place
        convert: Callable[[str], str] = partial(
            encryption.bound.decrypt, applications=(application,), key=key
        )
    elif encryption.keys is None:
        return _no_key()
    else:
        convert = encryption.keys.decrypt
    return await _converted(request, convert, text)


def _place(context: RequestContext) -> tuple[str, str] | None:
    """Return the application and the key of a bound cipher text; `None` without `?key=`."""
    key = context.value(_KEY, default="")
    if not key:
        return None
    application = context.names[0]
    if "," in application:
        raise HttpError(400, "invalid-query", "with ?key=, name one application")
    return application, key


async def _converted(
    request: HttpRequest, convert: Callable[[str], str], text: str
) -> HttpResponse:
    wanted = negotiate(request.header(b"accept"), (_PLAIN_TEXT, JSON))
    try:
        result = await asyncio.to_thread(convert, text)
    except CipherError:
        return _failure(400, "INVALID", "Text not encrypted with this key")
    except EncryptionKeyError as error:
        return _failure(400, "BAD_REQUEST", str(error))
    return text_response(result, JSON if wanted == JSON else TEXT)


def _check_names(context: RequestContext) -> None:
    if "name" in context.parameters:
        application, profiles, _ = context.names
        split_names("application", application)
        split_profiles(profiles)


async def _submitted(request: HttpRequest, *, is_cipher: bool) -> str:
    """Return the text of a body. A form as sent by `curl -d` is decoded.

    Raises:
        HttpError: The media type is missing, or the body is not a text.
    """
    kind = media_type(request)
    if not kind:
        raise HttpError(400, "no-media-type", f"send Content-Type: {_PLAIN_TEXT}")
    try:
        text = (await read_utf8(request)).decode()
    except UnicodeDecodeError as error:
        raise HttpError(400, "no-text", "the body is not UTF-8") from error
    if kind == _PLAIN_TEXT or not _is_form(text, kind):
        return text
    text = unquote_plus(text.removesuffix("="))
    return text.replace(" ", "+") if is_cipher else text


def _is_form(text: str, kind: str) -> bool:
    """True if the text is a form with one name and no value."""
    return "=" not in text.removesuffix("=") if kind == _FORM else text.endswith("=")


def _no_key() -> HttpResponse:
    return _failure(404, "NO_KEY", "No key was installed for encryption service")


def _failure(status: int, word: str, description: str) -> HttpResponse:
    return json_response({"status": word, "description": description}, status=status)


_STATUS: Final = Schema(
    name="EncryptionStatus",
    document=object_of(("status",), status=TEXT_SCHEMA, description=TEXT_SCHEMA),
)
_ERROR: Final = Schema(
    name="EncryptionError",
    document={
        "anyOf": [
            reference(ERROR),
            object_of(("status", "description"), status=TEXT_SCHEMA, description=TEXT_SCHEMA),
        ]
    },
    uses=(ERROR,),
)
_NO_KEY_ERRORS: Final = {404: "There is no such key."}
_CONVERT_ERRORS: Final = {
    **_NO_KEY_ERRORS,
    400: "A name, the key or the text is not acceptable.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is compressed.",
}

_PUBLIC_KEY: Final = Endpoint(
    id="publicKey",
    path="/key",
    access=Right.ENCRYPT,
    check=server_right,
    handler=_public_key,
    summary="The public key for encryption.",
    results=PLAIN_TEXT,
    errors={**_NO_KEY_ERRORS, 400: "A name is not acceptable."},
    error_schema=_ERROR,
)
_ENCRYPT: Final = Endpoint(
    id="encrypt",
    path="/encrypt",
    method="POST",
    access=Right.ENCRYPT,
    check=server_right,
    handler=_encrypt,
    summary="The cipher text of a text.",
    body=Body(content={_PLAIN_TEXT: TEXT_SCHEMA}),
    results=PLAIN_TEXT,
    errors=_CONVERT_ERRORS,
    error_schema=_ERROR,
)
_DECRYPT: Final = replace(
    _ENCRYPT,
    id="decrypt",
    path="/decrypt",
    access=Right.DECRYPT,
    check=server_right,
    handler=_decrypt,
    summary="The clear text of a cipher text.",
    errors=_CONVERT_ERRORS | {403: "Decryption is disabled."},
)


def _for_application(endpoint: Endpoint) -> Endpoint:
    return replace(
        endpoint,
        id=f"{endpoint.id}ForApplication",
        path=endpoint.path + "/{name}/{profiles}",
        parameters=(NAME, PROFILES, *([_KEY] if endpoint.method == "POST" else [])),
    )


ENDPOINTS: Final = (
    Endpoint(
        id="encryptionStatus",
        path="/encrypt/status",
        access=Right.ENCRYPT,
        check=server_right,
        handler=_status,
        summary="Checks that there is a key.",
        results=(Result(status=200, description="There is a key.", content={JSON: _STATUS}),),
        errors=_NO_KEY_ERRORS,
        error_schema=_ERROR,
    ),
    *(
        one
        for endpoint in (_PUBLIC_KEY, _ENCRYPT, _DECRYPT)
        for one in (endpoint, _for_application(endpoint))
    ),
)
