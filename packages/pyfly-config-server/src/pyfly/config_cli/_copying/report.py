"""The report of `copy`: the outcome for every bundle, and everything that was not copied."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._console.output import print_note, print_result
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._copying.comparison import Difference
from pyfly.config_cli._copying.copier import CopyResult, Outcome
from pyfly.config_cli._stores.contents import UncopiedItem
from pyfly.config_core import ConfigKey, JsonValue
from pyfly.config_server.formats.documents import name_document

_ALWAYS_COUNTED: Final[tuple[Outcome, ...]] = ("created", "updated", "unchanged")
_MAX_GUESSES: Final = 5
"""The largest number of guesses in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """Everything that a copy did and did not do."""

    dry_run: bool
    results: Sequence[CopyResult]
    items: Sequence[UncopiedItem]
    """Items of the source that are not bundles, or cannot be read."""
    guesses: Collection[ConfigKey]
    """Bundles with files that the source could also read as other bundles, unlike the target."""
    differences: Sequence[Difference] | None
    """`None` without a comparison."""

    @property
    def counts(self) -> Counter[Outcome]:
        """The number of bundles for each outcome. Items count as not copied."""
        counted: Counter[Outcome] = Counter(result.outcome for result in self.results)
        counted["not-copied"] += len(self.items)
        return counted

    @property
    def guessed(self) -> list[str]:
        """The bundles in the target with names that are guesses."""
        sources = [one.copy.source for one in self.results if one.outcome in _ALWAYS_COUNTED]
        return [str(key) for key in sources if key in self.guesses]

    @property
    def is_complete(self) -> bool:
        """True if everything was copied, and the comparison found no difference."""
        return not (self.counts["left"] or self.counts["not-copied"] or self.differences)


def report_document(report: CopyReport) -> dict[str, JsonValue]:
    """Return a report as JSON; `guessed` names bundles, if there are any."""
    document: dict[str, JsonValue] = {
        "dryRun": report.dry_run,
        "bundles": [_row(result) for result in report.results],
        "notCopied": [
            {"label": item.label, "path": item.path, "reason": item.reason} for item in report.items
        ],
    }
    if report.guessed:
        document["guessed"] = [*report.guessed]
    if report.differences is not None:
        document["differences"] = [
            {
                "label": one.label,
                "application": one.application,
                "profile": one.profile,
                "difference": one.what,
            }
            for one in report.differences
        ]
    return document


def _row(result: CopyResult) -> JsonValue:
    row = name_document(result.copy.source) | {"outcome": result.outcome}
    target = result.copy.target
    if target not in {None, result.copy.source}:
        row["to"] = str(target)
    return row | ({"reason": result.reason} if result.reason else {})


def print_report(report: CopyReport) -> None:
    """Print the remarks on standard error, and the counts on standard output."""
    if report.dry_run and report.results:
        keys = [(result.outcome, result.copy.source) for result in report.results]
        names = [(outcome, key.label, key.application, key.profile) for outcome, key in keys]
        print_table(("OUTCOME", "LABEL", "APPLICATION", "PROFILE"), names)
        print_result("")
    for result in report.results:
        _print_remark(result)
    for item in report.items:
        print_note(f"not copied: {item.name}: {item.reason}")
    if report.guessed:
        print_note(_guess_remark(report.guessed))
    for one in report.differences or ():
        print_note(f"differs: {one.application}/{one.profile}/{one.label}: {one.what}")
    print_result(_summary(report.counts))
    if report.differences is not None:
        count = len(report.differences)
        print_result(f"Verified: {f'{count} documents differ' if count else 'all documents equal'}")
    if report.dry_run:
        print_note("This was a dry run: nothing was stored.")


def _guess_remark(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_GUESSES:,} more" if len(names) > _MAX_GUESSES else ""
    return (
        f"guessed: {', '.join(names[:_MAX_GUESSES])}{more}: the names of these files can be read "
        "in several ways; in the other store they are found under these names only"
    )


def _print_remark(result: CopyResult) -> None:
    source, target = result.copy.source, result.copy.target
    if result.outcome == "left":
        print_note(f"left alone: {target} holds other content")
    elif result.outcome == "not-copied":
        print_note(f"not copied: {source}: {result.reason}")
    elif target != source:
        print_note(f"{source} is {target} in the other store")


def _summary(counts: Mapping[Outcome, int]) -> str:
    parts = [f"{counts[outcome]} {outcome}" for outcome in _ALWAYS_COUNTED]
    if counts["left"]:
        parts.append(f"{counts['left']} left alone (--overwrite replaces them)")
    if counts["not-copied"]:
        parts.append(f"{counts['not-copied']} not copied")
    return ", ".join(parts)
