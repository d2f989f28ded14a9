"""The dashboard and the alert rules of the documentation."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyfly.config_server.live.metrics import METRICS

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((EXAMPLES / "dashboard.json").read_text(encoding="utf-8"))
RULES_FILE = EXAMPLES / "alerts.yml"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
SERIES = {series for metric in METRICS for series in metric.series}
LABELS = {label for metric in METRICS for label in metric.labels} | {"le", "job", "instance"}
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$job": ".*"}


def panel_expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


EXPRESSIONS = [*panel_expressions(), *(rule["expr"] for rule in RULES)]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    names = set(re.findall(r"\bpyfly_\w+", expression))
    assert names
    assert names <= SERIES
    matched = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    grouped = {
        name.strip()
        for group in re.findall(r"\bby \(([^)]*)\)", expression)
        for name in group.split(",")
    }
    assert matched | grouped <= LABELS


def test_every_metric_is_on_the_dashboard() -> None:
    shown = set(re.findall(r"\bpyfly_\w+", "\n".join(panel_expressions())))
    assert [metric.name for metric in METRICS if not shown.intersection(metric.series)] == []


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


FIRING = {  # alert: a series that raises it within half an hour
    "PyflyConfigMissing": ("pyfly_config_workers", "0+0x60"),
    "PyflyConfigWorkersRestart": ("pyfly_config_worker_restarts_total", "0+1x60"),
    "PyflyConfigStoreUnreachable": (
        'pyfly_config_store_last_look_timestamp_seconds{store="1"}',
        "60+0x60",
    ),
    "PyflyConfigStoreErrors": ('pyfly_config_store_look_errors_total{store="1"}', "0+20x60"),
    "PyflyConfigBrokenText": ("pyfly_config_answers_broken", "2+0x60"),
    "PyflyConfigStaleAnswers": ('pyfly_config_answers_total{outcome="stale"}', "0+1x60"),
    "PyflyConfigServerErrors": (
        'pyfly_config_http_requests_total{route="environment",status="503"}',
        "0+5x60",
    ),
    "PyflyConfigSlow": (
        'pyfly_config_http_request_duration_seconds_bucket{route="environment",le="0.5"}',
        "0+50x60",
    ),
    "PyflyConfigWakeSlow": ('pyfly_config_watcher_wake_seconds_bucket{le="1.0"}', "0+50x60"),
    "PyflyConfigWatchersRejected": ("pyfly_config_watchers_rejected_total", "0+1x60"),
}
HEALTHY = {
    "pyfly_config_workers": "2+0x60",
    "pyfly_config_worker_restarts_total": "2+0x60",
    'pyfly_config_store_last_look_timestamp_seconds{store="1"}': "0+60x60",
    'pyfly_config_store_looks_total{store="1"}': "0+120x60",
    'pyfly_config_store_look_errors_total{store="1"}': "3+0x60",
    "pyfly_config_answers_broken": "0+0x60",
    'pyfly_config_answers_total{outcome="hit"}': "0+100x60",
    'pyfly_config_answers_total{outcome="stale"}': "7+0x60",
    'pyfly_config_http_requests_total{route="environment",status="200"}': "0+100x60",
    'pyfly_config_http_requests_total{route="environment",status="503"}': "7+0x60",
    'pyfly_config_http_request_duration_seconds_bucket{route="environment",le="0.5"}': "0+100x60",
    'pyfly_config_http_request_duration_seconds_bucket{route="environment",le="1.0"}': "0+100x60",
    'pyfly_config_http_request_duration_seconds_bucket{route="environment",le="+Inf"}': "0+100x60",
    'pyfly_config_watcher_wake_seconds_bucket{le="1.0"}': "0+100x60",
    'pyfly_config_watcher_wake_seconds_bucket{le="2.5"}': "0+100x60",
    'pyfly_config_watcher_wake_seconds_bucket{le="+Inf"}': "0+100x60",
    "pyfly_config_watchers_rejected_total": "9+0x60",
}
"""The series of a server without trouble."""


def test_every_alert_is_tried() -> None:
    assert [rule["alert"] for rule in RULES] == [*FIRING]
    assert all(series in HEALTHY for series, _ in FIRING.values())


def alert_test(series: dict[str, str], alerts: list[str]) -> dict[str, Any]:
    """Return a test of promtool: these alerts and no others are raised after half an hour."""
    return {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "30m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts
                ],
            }
        ],
    }


@pytest.mark.external
def test_each_alert_is_raised_by_its_trouble_alone(
    run: Callable[..., bytes], tmp_path: Path
) -> None:
    tests = [alert_test(HEALTHY, [])]
    for alert, (series, values) in FIRING.items():
        tests.append(alert_test(HEALTHY | {series: values}, [alert]))
    tests.append(alert_test({}, ["PyflyConfigMissing"]))
    file = tmp_path / "test.yml"
    document = {"rule_files": [str(RULES_FILE)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    run("promtool", "test", "rules", file)


@pytest.mark.external
def test_prometheus_reads_the_rules_and_every_expression(
    run: Callable[..., bytes], tmp_path: Path
) -> None:
    assert f"{len(RULES)} rules found" in run("promtool", "check", "rules", RULES_FILE).decode()
    recorded: list[dict[str, str]] = []
    for number, expression in enumerate(panel_expressions()):
        filled = re.sub(r"\$\w+", lambda found: VARIABLES[found[0]], expression)
        recorded.append({"record": f"panel:{number}", "expr": filled})
    file = tmp_path / "panels.yml"
    file.write_text(
        yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8"
    )
    assert f"{len(recorded)} rules found" in run("promtool", "check", "rules", file).decode()
