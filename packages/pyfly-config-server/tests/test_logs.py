"""The formats of log lines."""

import json
import logging

import pytest

from pyfly.config_cli._serving.logs import FIELDS, JsonFormatter, TextFormatter
from pyfly.config_server import identified_request

NAME = "pyfly.config_cli._serving.worker"


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(NAME, logging.WARNING, "f", 1, message, args, None)
    made.created, made.msecs = 1_764_270_245.5, 500.0
    made.__dict__.update(extra)
    return made


def test_a_text_line_has_time_level_logger_and_request() -> None:
    line = TextFormatter().format(record("store %s is away", "x"))
    assert line == "2025-11-27T19:04:05.500Z WARNING pyfly.config_cli: store x is away"
    with identified_request([(b"x-request-id", b"r-1")]):
        assert TextFormatter().format(record("a")).endswith(": a [r-1]")


def test_a_text_cannot_look_like_another_line() -> None:
    text = TextFormatter().format(record("a\n2025-11-27T19:04:05.500Z ERROR forged"))
    assert [line[:1] for line in text.splitlines()] == ["2", " "]


def test_a_text_cannot_control_a_terminal() -> None:
    text = TextFormatter().format(record("%s", "a\rb\x1b[2J\x85c\u2028d\te"))
    assert text.endswith(r": a\rb\x1b[2J\x85c\u2028d" "\te")


def test_a_json_line_is_one_object() -> None:
    made = record("a\n%s", "b", **{FIELDS: {"status": 200}})
    made.exc_info = (ValueError, ValueError("why"), None)
    with identified_request([(b"x-request-id", b"r-1")]):
        line = JsonFormatter().format(made)
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("message").startswith("a\nb\n")
    assert found == {
        "time": "2025-11-27T19:04:05.500Z",
        "level": "warning",
        "logger": "pyfly.config_cli",
        "request_id": "r-1",
        "status": 200,
    }


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_characters_of_every_kind_are_written(formatter: logging.Formatter) -> None:
    assert "ü" in formatter.format(record("%s", "ü\x00\u2028"))
    json.loads(JsonFormatter().format(record("%s", "ü\x00\ud800")))
