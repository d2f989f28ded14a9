"""Log lines of a server: their level, and their format for people or programs."""

import json
import logging
import re
import sys
import time
from typing import Final

from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_server import current_request_id

FIELDS: Final = "pyfly_fields"
"""The attribute of a record with further fields for JSON."""

ACCESS_LOGGER: Final = "pyfly.access"
"""The logger of the access log, which has a switch of its own instead of a level."""

_PROJECT: Final = "pyfly"
_CONTROL: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
"""All but tabs and ends of lines."""


def set_up_logs(settings: ServerSettings) -> None:
    """Log to standard error as the settings say.

    The level is that of this project. Libraries log warnings only: what they log at lower levels
    may hold values, statements and credentials.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(_PROJECT).setLevel(settings.log_level.upper())
    logging.getLogger(ACCESS_LOGGER).setLevel(logging.INFO)


class TextFormatter(logging.Formatter):
    """One line: time in UTC, level, logger, message, and the id of the request in brackets.

    Further lines of a message are indented, and control characters escaped, so that no text can
    look like a line of its own or change what a terminal shows.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        request_id = current_request_id()
        suffix = f" [{request_id}]" if request_id else ""
        text = _CONTROL.sub(_escaped, _message(record, self)).replace("\n", "\n    ")
        return f"{_time(record)} {record.levelname} {_logger(record)}: {text}{suffix}"


class JsonFormatter(logging.Formatter):
    """One JSON object: `time`, `level`, `logger`, `message`, `request_id`, and further fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object in one line."""
        fields: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": _logger(record),
            "message": _message(record, self),
        }
        if request_id := current_request_id():
            fields["request_id"] = request_id
        further: dict[str, object] = getattr(record, FIELDS, {})
        return json.dumps(fields | further, ensure_ascii=False, default=str)


def _escaped(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _logger(record: logging.LogRecord) -> str:
    """Return the public part of the name of a logger."""
    return record.name.partition("._")[0]


def _message(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + formatter.formatException(record.exc_info)
    return message
