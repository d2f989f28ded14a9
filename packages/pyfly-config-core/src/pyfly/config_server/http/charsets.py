"""The charsets that a client may name. Names from requests are not passed to Python's codecs.

Python's registry has codecs that are not charsets (`punycode`, `idna`, `zlib`). Some of them take
quadratic time, and the registry keeps every unknown name in memory.
"""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping
from typing import Final

__all__ = ["decode"]

_ALIASES: Final[Mapping[str, str]] = {
    "ascii": "us-ascii",
    "latin1": "iso-8859-1",
    "latin-1": "iso-8859-1",
    "utf8": "utf-8",
    "utf16": "utf-16",
    "cp1252": "windows-1252",
    "ms932": "windows-31j",
    "sjis": "shift_jis",
}
_CODECS: Final[Mapping[str, str]] = {
    "us-ascii": "ascii",
    "utf-8": "utf-8",
    "utf-16": "utf-16-be",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "iso-8859-1": "latin-1",
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (*range(2, 11), 13, 14, 15, 16)},
    **{f"windows-{page}": f"cp{page}" for page in range(1250, 1259)},
    "windows-31j": "cp932",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "big5": "big5",
    "euc-jp": "euc-jp",
    "euc-kr": "euc-kr",
    "gb18030": "gb18030",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "shift_jis": "shift_jis",
}
"""Python's names by IANA's names in lower case. All of these codecs take linear time."""


def decode(content: bytes, charset: str, *, errors: str = "replace") -> str | None:
    """Return `content` as text, or `None` if the charset is unknown.

    The byte order mark of `utf-16` counts; without it, the text is big-endian (RFC 2781).

    Args:
        content: The bytes.
        charset: The name of the charset from a client, in any case.
        errors: `replace` puts U+FFFD in place of invalid bytes.

    Raises:
        UnicodeDecodeError: With `errors="strict"`, the bytes do not match the charset.
    """
    name = charset.strip().strip('"').lower()
    codec = _CODECS.get(_ALIASES.get(name, name))
    if codec is None:
        return None
    if name in {"utf-16", "utf16"} and content[:2] in {BOM_UTF16_LE, BOM_UTF16_BE}:
        codec = "utf-16"
    return content.decode(codec, errors)
