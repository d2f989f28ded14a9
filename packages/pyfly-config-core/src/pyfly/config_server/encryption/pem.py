"""Recognising passwords, RSA keys and mistakes in configured keys. Needs no library.

A password may be any text. Without these checks a damaged key, or the name of a key file, would
silently be used as a password.
"""

import base64
import re
from pathlib import Path
from typing import Final

from pyfly.config_core import EncryptionKeyError

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,60})-----(.*?)-----END \1-----", re.DOTALL)
_PUBLIC: Final = re.compile(r"PUBLIC KEY|BEGIN CERTIFICATE|\Assh-(?:rsa|dss|ed25519)|\Aecdsa-sha2-")
_TRACE: Final = re.compile(r"-----BEGIN|-----END|PRIVATE KEY-----", re.IGNORECASE)
_BEGIN: Final = b"-----BEGIN "
_ENCODED_PEM: Final = base64.b64encode(_BEGIN).decode()[:14]
_PUTTY: Final = "PuTTY-User-Key-File-"
_DER_SEQUENCE: Final = b"\x30\x82"
_PRIVATE: Final = frozenset({"RSA PRIVATE KEY", "PRIVATE KEY"})
_SPACE: Final = re.compile(r"\s|\\[nr]")
_MAX_PATH: Final = 4096
_KEY_FILES: Final = frozenset({".der", ".jks", ".key", ".p12", ".pem", ".pfx"})

_ADVICE: Final = {
    "ENCRYPTED PRIVATE KEY": (
        "the PEM has a password, which is not supported; remove the password with: "
        "openssl pkey -in KEY -out PLAIN; or use a key store"
    ),
    "OPENSSH PRIVATE KEY": (
        "the key is in the format of OpenSSH; convert it with: ssh-keygen -p -m PEM -f KEY"
    ),
    "EC PRIVATE KEY": "this is an EC key; only RSA keys can encrypt",
    "DSA PRIVATE KEY": "this is a DSA key; only RSA keys can encrypt",
}


def private_key_der(text: str) -> bytes | None:
    """Return the RSA key in a PEM text as DER (PKCS#1 or PKCS#8), `None` for a password.

    Other blocks in the text, such as certificates, are skipped. Line breaks may be missing,
    or be written as a backslash and `n` or `r`.

    Raises:
        EncryptionKeyError: The text looks like a key that cannot be used.
    """
    blocks = [(found[1], found[2]) for found in _BLOCK.finditer(text)]
    for label, body in blocks:
        if label in _PRIVATE:
            return _der(body)
    for label, _ in blocks:
        if label in _ADVICE:
            raise EncryptionKeyError(_ADVICE[label])
    if _PUBLIC.search(text):
        raise EncryptionKeyError("a public key cannot decrypt; give the private key")
    if _TRACE.search(text):
        raise EncryptionKeyError(
            "the PEM is not complete; it must go from '-----BEGIN PRIVATE KEY-----' to "
            "'-----END PRIVATE KEY-----'"
        )
    _check_not_encoded(text)
    return None


def _check_not_encoded(text: str) -> None:
    """Refuse a key that is not PEM."""
    if text.startswith(_PUTTY):
        raise EncryptionKeyError(
            "the key is in the format of PuTTY; convert it with: puttygen KEY "
            "-O private-openssh -o PLAIN"
        )
    data = _decoded(text) or b""
    if _BEGIN in data or text.startswith(_ENCODED_PEM):
        raise EncryptionKeyError("this is a PEM in base64; decode it with: base64 -d")
    if data.startswith(_DER_SEQUENCE) and int.from_bytes(data[2:4], "big") + 4 == len(data):
        raise EncryptionKeyError(
            "the key lacks its first and last line; put '-----BEGIN PRIVATE KEY-----' "
            "before it and '-----END PRIVATE KEY-----' after it"
        )


def check_no_file(text: str) -> None:
    """Refuse a password that is the name of a file.

    These are the names of existing files, names of key files with a directory, and absolute
    names in an existing directory other than the root.

    Raises:
        EncryptionKeyError: The text is the name of a file.
    """
    name = text.removeprefix("file:")
    if len(name) > _MAX_PATH or "\0" in name or "\n" in name:
        return
    path = Path(name)
    try:
        exists = path.is_file()
        placed = path.is_absolute() and path.parent != path.parent.parent and path.parent.is_dir()
    except PermissionError:  # in a directory that this user may not read
        exists, placed = True, True
    except OSError:  # too long for this file system
        return
    named = name != text or "/" in name
    if exists or placed or (named and path.suffix.lower() in _KEY_FILES):
        raise EncryptionKeyError("this is the name of a file; give the content of the file")


def _der(body: str) -> bytes:
    if "Proc-Type:" in body or "DEK-Info:" in body:
        raise EncryptionKeyError(_ADVICE["ENCRYPTED PRIVATE KEY"])
    data = _decoded(body)
    if data is None:
        raise EncryptionKeyError("the PEM does not hold base64")
    return data


def _decoded(text: str) -> bytes | None:
    """Return the bytes of a text in base64, `None` if it is not base64."""
    try:
        return base64.b64decode(_SPACE.sub("", text), validate=True)
    except ValueError:  # also for characters outside of ASCII
        return None
