"""Log lines about answers that cannot be composed: one for each reason, however many there are."""

import logging
from collections import Counter
from typing import Final

from pyfly.config_core import ConfigError

__all__ = ["Failures"]

_LOG: Final = logging.getLogger(__name__)


class Failures:
    """The reasons why answers are held back. One broken bundle is that of many answers."""

    def __init__(self) -> None:
        self._answers: Counter[str] = Counter()
        self._logged: set[str] = set()

    def begin(self, error: Exception, *, is_served: bool) -> None:
        """Note that an answer is held back; log the reason unless it was logged.

        Args:
            error: The reason.
            is_served: True if the last good answer is served, false if the answer is the error.
        """
        words = _words(error)
        self._answers[words] += 1
        if words not in self._logged:
            self._logged.add(words)
            what = "the last good answer is served" if is_served else "the answer is an error"
            _LOG.warning("%s: %s", what, words)

    def mended(self, error: Exception) -> None:
        """Log that an answer was composed again, once for each reason."""
        words = _words(error)
        if words in self._logged:
            self._logged.discard(words)
            _LOG.warning("composed again after an error: %s", words)

    def end(self, error: Exception) -> None:
        """Note that an answer is not held back any more, because it was composed or dropped."""
        words = _words(error)
        self._answers[words] -= 1
        if self._answers[words] <= 0:
            del self._answers[words]
            self._logged.discard(words)


def _words(error: Exception) -> str:
    """Return a reason without values, which the text of a third-party error may hold."""
    return str(error) if isinstance(error, ConfigError) else type(error).__name__
