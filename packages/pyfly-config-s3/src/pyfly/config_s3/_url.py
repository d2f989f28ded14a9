"""What an `s3:` URL says."""

import math
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pyfly.config_core import DEFAULT_LABEL, BackendLookupError, check_name

MAX_STALENESS: Final = 1.0
"""Seconds, unless said otherwise."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9!_.*'()@+, -]+(?:/[A-Za-z0-9!_.*'()@+, -]+)*")
_FORM: Final = "an s3: URL is written s3://bucket or s3://bucket/prefix"
_OPTIONS: Final = frozenset(
    {"region", "endpoint_url", "layout", "label", "default_label", "max_staleness"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Location:
    """Where the bundles are, and how they are read."""

    bucket: str
    prefix: str = ""
    """Without slashes at its ends."""
    region: str | None = None
    endpoint_url: str | None = None
    flat_label: str | None = None
    default_label: str = DEFAULT_LABEL
    max_staleness: float = MAX_STALENESS


def parse_url(url: str) -> S3Location:
    """Return what `s3://bucket/prefix?…` says.

    Raises:
        BackendLookupError: It is not written as it should be; shows none of it but names.
        InvalidConfigKeyError: A label is not acceptable.
    """
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise BackendLookupError(_FORM) from error
    options = dict(given)
    if "@" in parts.netloc:
        raise BackendLookupError(
            f"{_FORM}, without credentials: boto3 takes them from the environment, from its "
            "files or from the machine's role"
        )
    if len(options) < len(given) or not options.keys() <= _OPTIONS or parts.fragment:
        raise BackendLookupError(f"{_FORM}, with each of {', '.join(sorted(_OPTIONS))} once")
    layout = options.get("layout", "labels")
    if layout not in {"flat", "labels"} or ("label" in options and layout != "flat"):
        raise BackendLookupError("layout= of an s3: URL is 'labels' or 'flat'; label= goes with it")
    flat_label = options.get("label", DEFAULT_LABEL) if layout == "flat" else None
    return check_location(
        S3Location(
            bucket=parts.netloc,
            prefix=unquote(parts.path).strip("/"),
            region=options.get("region"),
            endpoint_url=options.get("endpoint_url"),
            flat_label=flat_label,
            default_label=options.get("default_label", flat_label or DEFAULT_LABEL),
            max_staleness=_seconds(options.get("max_staleness")),
        )
    )


def check_location(location: S3Location) -> S3Location:
    """Return the location, or refuse it.

    Raises:
        BackendLookupError: A name of S3's is not acceptable.
        InvalidConfigKeyError: A label is not acceptable.
    """
    if not _BUCKET.fullmatch(location.bucket):
        raise BackendLookupError(f"{_FORM}; the bucket is not acceptable")
    parts = location.prefix.split("/") if location.prefix else []
    if parts and (not _PREFIX.fullmatch(location.prefix) or {".", ".."} & set(parts)):
        raise BackendLookupError(
            "the prefix of an s3: URL is made of letters, digits and ! _ . * ' ( ) @ + , - and "
            "blanks between slashes"
        )
    if location.endpoint_url is not None:
        _check_endpoint(location.endpoint_url)
    if not 0 <= location.max_staleness <= 3600:  # noqa: PLR2004 - an hour is surely a mistake
        raise BackendLookupError("max_staleness of an s3: URL is a number of seconds, 0 to 3600")
    check_name("label", location.default_label)
    if location.flat_label is not None:
        check_name("label", location.flat_label)
    return location


def _check_endpoint(text: str) -> None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:  # its text may be a part of a password
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in text:
        raise BackendLookupError(
            "endpoint_url of an s3: URL begins with http:// or https:// and holds no credentials"
        )


def _seconds(text: str | None) -> float:
    try:
        return MAX_STALENESS if text is None else float(text)
    except ValueError:
        return math.nan
