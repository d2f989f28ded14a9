"""The report of `rekey`: the outcome for every bundle, and every value that stays as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyfly.config_cli._console.output import print_note, print_result
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._rekeying.bundle_rekeying import BundleResult
from pyfly.config_cli._stores.contents import UncopiedItem
from pyfly.config_core import JsonValue
from pyfly.config_server.formats.documents import name_document


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyReport:
    """Everything that was, or would be, encrypted with another key, and what was not."""

    source: str
    target: str
    dry_run: bool
    is_held: bool
    """True if nothing was stored, because values cannot be decrypted."""
    results: Sequence[BundleResult]
    items: Sequence[UncopiedItem]
    """Labels that cannot be read."""

    @property
    def is_complete(self) -> bool:
        """True if no value of the old key is left, as far as it was looked for."""
        return not self.is_held and not self.items and not self.failed

    @property
    def failed(self) -> list[BundleResult]:
        """The bundles that cannot be read or stored, or have values that stay as they are."""
        return [one for one in self.results if one.outcome == "failed"]


def report_document(report: RekeyReport) -> dict[str, JsonValue]:
    """Return a report as JSON. Bundles without a value of the old key are left out."""
    return {
        "from": report.source,
        "to": report.target,
        "dryRun": report.dry_run,
        "stored": not (report.dry_run or report.is_held),
        "bundles": [_row(one) for one in report.results if one.outcome != "unchanged"],
        "unreadable": [{"label": item.label, "reason": item.reason} for item in report.items],
    }


def _row(result: BundleResult) -> JsonValue:
    row: dict[str, JsonValue] = {
        **name_document(result.bundle),
        "outcome": result.outcome,
        "keys": [*result.keys],
        "failures": [{"key": one.key, "reason": one.reason} for one in result.failures],
        "version": result.version,
    }
    if result.reason:
        row["reason"] = result.reason
    return row


def print_report(report: RekeyReport) -> None:
    """Print bundles and counts on standard output, and what stays as it is on standard error."""
    rows = [
        (one.outcome, key.label, key.application, key.profile, name)
        for one in report.results
        for key in (one.bundle,)
        for name in one.keys
    ]
    if rows:
        print_table(("OUTCOME", "LABEL", "APPLICATION", "PROFILE", "KEY"), rows)
        print_result("")
    for one in report.failed:
        if one.reason:
            print_note(f"failed: {one.bundle}: {one.reason}")
        for value in one.failures:
            print_note(f"left as it is: {one.bundle}: {value.key}: {value.reason}")
    for item in report.items:
        print_note(f"not looked at: {item.name}: {item.reason}")
    print_result(_summary(report))
    if report.is_held:
        print_note(
            "Nothing was stored, because there are values that cannot be decrypted: is this the "
            "right key? --partial goes on without them."
        )
    elif report.dry_run:
        print_note("This was a dry run: nothing was stored.")


def _summary(report: RekeyReport) -> str:
    values = sum(len(one.keys) for one in report.results)
    bundles = sum(bool(one.keys) for one in report.results)
    left = sum(len(one.failures) for one in report.results)
    verb = "would be " if report.dry_run or report.is_held else ""
    text = f"{values:,} values in {bundles:,} bundles {verb}encrypted with {report.target!r}"
    failed = sum(bool(one.reason) for one in report.results)
    text += f", {left:,} values left as they are" if left else ""
    return text + (f", {failed:,} bundles failed" if failed else "")
