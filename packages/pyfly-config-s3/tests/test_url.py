import pytest

from pyfly.config_core import BackendLookupError, InvalidConfigKeyError
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_s3._url import parse_url
from pyfly.config_server.files import SpringLayout


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://bucket", S3Location(bucket="bucket")),
        ("s3://bucket/", S3Location(bucket="bucket")),
        ("s3://bucket/a/b%20c/", S3Location(bucket="bucket", prefix="a/b c")),
        (
            "s3://bucket/p?region=eu-west-1&endpoint_url=https://s3.example:9000/x",
            S3Location(
                bucket="bucket",
                prefix="p",
                region="eu-west-1",
                endpoint_url="https://s3.example:9000/x",
            ),
        ),
        (
            "s3://bucket?layout=flat&label=release",
            S3Location(bucket="bucket", layout=SpringLayout(), label="release"),
        ),
        (
            "s3://bucket?layout=spring",
            S3Location(bucket="bucket", layout=SpringLayout(), label="main"),
        ),
        (
            "s3://bucket?layout=spring&profiles=prod,eu",
            S3Location(
                bucket="bucket",
                layout=SpringLayout(profiles=frozenset({"prod", "eu"})),
                label="main",
            ),
        ),
        (
            "s3://bucket?default_label=trunk&max_staleness=0",
            S3Location(bucket="bucket", default_label="trunk", max_staleness=0.0),
        ),
    ],
)
def test_a_url_says_where_and_how(url: str, location: S3Location) -> None:
    assert parse_url(url) == location


@pytest.mark.parametrize(
    "url",
    [
        "s3:",
        "s3:bucket",
        "s3:///prefix",
        "s3://b",
        "s3://[marker/x",
        "s3://key:marker@bucket/prefix",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bucket/%00",
        "s3://bucket/é",
        "s3://bucket?secret=marker",
        "s3://bucket?region",
        "s3://bucket?region=a&region=marker",
        "s3://bucket?layout=marker",
        "s3://bucket?label=main",
        "s3://bucket?profiles=prod",
        "s3://bucket#marker",
        "s3://bucket?endpoint_url=marker",
        "s3://bucket?endpoint_url=ftp://marker",
        "s3://bucket?endpoint_url=http://user:marker@host",
        "s3://bucket?endpoint_url=http://user:12/marker@host",
        "s3://bucket?endpoint_url=http://user:marker/x@host",
        "s3://bucket?endpoint_url=http://host:marker",
        "s3://bucket?endpoint_url=http://[marker",
        "s3://user:12/marker@bucket",
        "s3://bucket?max_staleness=marker",
        "s3://bucket?max_staleness=-1",
        "s3://bucket?max_staleness=nan",
        "s3://bucket?region=mark%20er",
    ],
)
def test_a_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(BackendLookupError) as refused:
        S3ConfigBackend.from_url(url)
    assert "marker" not in str(refused.value)


@pytest.mark.parametrize("option", ["layout=flat&label=../x", "default_label="])
def test_a_label_follows_the_rules_of_labels(option: str) -> None:
    with pytest.raises(InvalidConfigKeyError):
        parse_url(f"s3://bucket?{option}")


@pytest.mark.parametrize(
    ("options", "only", "existing"),
    [
        ("", None, "main"),
        ("default_label=trunk", None, "trunk"),
        ("layout=spring", "main", "main"),
        ("layout=spring&label=release", "release", "release"),
        ("layout=spring&label=release&default_label=trunk", "release", "trunk"),
    ],
)
def test_the_label_that_exists_without_a_bundle(
    options: str, only: str | None, existing: str
) -> None:
    location = parse_url(f"s3://bucket?{options}" if options else "s3://bucket")
    assert (location.only_label, location.existing_label) == (only, existing)
