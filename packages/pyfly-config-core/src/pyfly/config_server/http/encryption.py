"""Encrypting and decrypting over HTTP (contract §6.1)."""

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_plus

from pyfly.config_core import (
    CipherError,
    EncryptionKeyError,
    decode_slashes,
    split_names,
    split_profiles,
)
from pyfly.config_server.encryption import Encryption
from pyfly.config_server.http.answers import JSON, TEXT, json_answer, text_answer
from pyfly.config_server.http.bodies import media_type, read_utf8
from pyfly.config_server.http.messages import HttpRequest, HttpResponse, header
from pyfly.config_server.http.negotiation import negotiate
from pyfly.config_server.http.refusals import Refusal
from pyfly.config_server.http.routes import Match

_PLAIN_TEXT: Final = "text/plain"
_FORM: Final = "application/x-www-form-urlencoded"


class EncryptionRoutes:
    """Answers `/encrypt`, `/decrypt`, `/key` and `/encrypt/status`.

    The application and profiles that may stand in the path are checked and mean nothing: keys
    are chosen by the prefix of a text.
    """

    def __init__(self, encryption: Encryption) -> None:
        self._encryption = encryption

    async def status(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Tell whether there is a key."""
        del request, match  # everybody gets the same
        if self._encryption.keys is None:
            return _no_key()
        return json_answer({"status": "OK"}, status=200)

    async def public_key(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Return the public key, 404 when there is none."""
        del request  # everybody gets the same
        _check_names(match)
        keys = self._encryption.keys
        if keys is None or keys.default.public_key is None:
            return _failure(404, "NOT_FOUND", "No public key available")
        return text_answer(keys.default.public_key, TEXT)

    async def encrypt(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Return the cipher text of the body, without `{cipher}`."""
        _check_names(match)
        keys = self._encryption.keys
        if keys is None:
            return _no_key()
        return await _converted(request, keys.encrypt, await _submitted(request, is_cipher=False))

    async def decrypt(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Return the clear text of the body, where that is allowed."""
        _check_names(match)
        keys = self._encryption.keys
        if keys is None:
            return _no_key()
        if not self._encryption.answers_decrypt:
            raise Refusal(403, "forbidden", "decrypting over HTTP is not switched on")
        return await _converted(request, keys.decrypt, await _submitted(request, is_cipher=True))


async def _converted(
    request: HttpRequest, convert: Callable[[str], str], text: str
) -> HttpResponse:
    wanted = negotiate(header(request, b"accept"), (_PLAIN_TEXT, JSON))
    try:
        result = await asyncio.to_thread(convert, text)
    except CipherError:
        return _failure(400, "INVALID", "Text not encrypted with this key")
    except EncryptionKeyError as error:
        return _failure(400, "BAD_REQUEST", str(error))
    return text_answer(result, JSON if wanted == JSON else TEXT)


def _check_names(match: Match) -> None:
    if "name" in match.parameters:
        split_names("application", decode_slashes(match.parameters["name"]))
        split_profiles(match.parameters["profiles"])


async def _submitted(request: HttpRequest, *, is_cipher: bool) -> str:
    """Return the text that was sent, out of the form that `curl -d` makes of it.

    Raises:
        Refusal: Its type is missing, or it is no text.
    """
    kind = media_type(request)
    if not kind:
        raise Refusal(400, "no-media-type", f"say Content-Type: {_PLAIN_TEXT}")
    try:
        text = (await read_utf8(request)).decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, "no-text", "the text is not UTF-8") from error
    if kind == _PLAIN_TEXT or not _is_form(text, kind):
        return text
    text = unquote_plus(text.removesuffix("="))
    return text.replace(" ", "+") if is_cipher else text


def _is_form(text: str, kind: str) -> bool:
    """Tell whether the text is a name without a value, as a form has it."""
    return "=" not in text.removesuffix("=") if kind == _FORM else text.endswith("=")


def _no_key() -> HttpResponse:
    return _failure(404, "NO_KEY", "No key was installed for encryption service")


def _failure(status: int, word: str, description: str) -> HttpResponse:
    return json_answer({"status": word, "description": description}, status=status)
