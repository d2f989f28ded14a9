"""Parsing `s3:` URLs."""

import math
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pyfly.config_core import DEFAULT_LABEL, BackendLookupError, check_name
from pyfly.config_server.files import LabelsLayout, Layout, parse_layout

MAX_STALENESS: Final = 1.0
"""The default in seconds."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9!_.*'()@+, -]+(?:/[A-Za-z0-9!_.*'()@+, -]+)*")
_FORM: Final = "write an s3: URL as s3://bucket or s3://bucket/prefix"
_OPTIONS: Final = frozenset(
    {
        *("default_label", "endpoint_url", "label", "layout", "max_staleness", "profiles"),
        *("region", "search"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Location:
    """Bucket, prefix, layout and options of a store."""

    bucket: str
    prefix: str = ""
    """Without slashes at its ends."""
    region: str | None = None
    endpoint_url: str | None = None
    layout: Layout = field(default_factory=LabelsLayout)
    """The rules for file names."""
    label: str | None = None
    """The only label of a layout without directories for labels; by default `main`."""
    default_label: str | None = None
    """The label that exists without a bundle; by default `label` or `main`."""
    max_staleness: float = MAX_STALENESS
    """The largest age of a listing of names in seconds."""

    @property
    def only_label(self) -> str | None:
        """The only label; `None` if the layout has a directory for each label."""
        return None if self.layout.has_label_directories else self.label or DEFAULT_LABEL

    @property
    def existing_label(self) -> str:
        """The label that exists without a bundle."""
        return self.default_label or self.only_label or DEFAULT_LABEL


def parse_url(url: str) -> S3Location:
    """Return the location for `s3://bucket/prefix?…`.

    Raises:
        BackendLookupError: The URL is malformed. The message shows names of parameters only.
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
    layout, label = _layout(options)
    return check_location(
        S3Location(
            bucket=parts.netloc,
            prefix=unquote(parts.path).strip("/"),
            region=options.get("region"),
            endpoint_url=options.get("endpoint_url"),
            layout=layout,
            label=label,
            default_label=options.get("default_label"),
            max_staleness=_seconds(options.get("max_staleness")),
        )
    )


def check_location(location: S3Location) -> S3Location:
    """Return the location, or refuse it.

    Raises:
        BackendLookupError: The bucket, the prefix or the address is not acceptable.
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
        raise BackendLookupError("max_staleness of an s3: URL must be seconds from 0 to 3600")
    for label in (location.default_label, location.label):
        if label is not None:
            check_name("label", label)
    return location


def _layout(options: dict[str, str]) -> tuple[Layout, str | None]:
    names = ("layout", "label", "profiles", "search")
    try:
        return parse_layout({name: options[name] for name in names if name in options})
    except BackendLookupError as error:
        raise BackendLookupError(f"{_FORM}; {error}") from error


def _check_endpoint(text: str) -> None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:  # the text of the error may be a part of a password
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in text:
        raise BackendLookupError(
            "endpoint_url of an s3: URL must begin with http:// or https:// and hold no credentials"
        )


def _seconds(text: str | None) -> float:
    try:
        return MAX_STALENESS if text is None else float(text)
    except ValueError:
        return math.nan
