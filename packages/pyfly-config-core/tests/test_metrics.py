"""The page of metrics: names, values, formats."""

import gzip
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pyfly.config_core import MetricsNotInstalledError
from pyfly.config_server.live.counters import LATENCY_BOUNDS, Counters, total
from pyfly.config_server.live.exposition import make_renderer
from pyfly.config_server.live.metrics import METRICS, CountersCollector, MetricDescription


def busy() -> Counters:
    counters = Counters()
    counters.hits, counters.misses, counters.stale, counters.rendered = 1, 2, 3, 4
    counters.rejected_watchers, counters.watchers, counters.broken = 5, 6, 7
    counters.restarts = 8
    counters.answered("environment", 200, 0.0004)
    counters.answered("environment", 404, 20.0)
    counters.looked(1, 1_700_000_000.25)
    counters.looked(2, 200.5, error=True)
    counters.woke(0.02)
    return counters


def page(counters: Counters, *, accept: str = "") -> str:
    renderer = make_renderer(partial(total, [counters]))
    return renderer.render(accept=accept, accept_encoding="").body.decode()


def samples(text: str) -> dict[str, float]:
    """Return the values of a page by name and labels."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_count_is_on_the_page() -> None:
    found = samples(page(busy()))
    durations = "pyfly_config_http_request_duration_seconds"
    expected = {
        "pyfly_config_http_requests_total route=environment status=200": 1,
        "pyfly_config_http_requests_total route=environment status=404": 1,
        f"{durations}_bucket le=0.00025 route=environment": 0,
        f"{durations}_bucket le=0.0005 route=environment": 1,
        f"{durations}_bucket le=10.0 route=environment": 1,
        f"{durations}_bucket le=+Inf route=environment": 2,
        f"{durations}_count route=environment": 2,
        f"{durations}_sum route=environment": 20.0004,
        "pyfly_config_answers_total outcome=hit": 1,
        "pyfly_config_answers_total outcome=miss": 2,
        "pyfly_config_answers_total outcome=stale": 3,
        "pyfly_config_answers_rendered_total": 4,
        "pyfly_config_answers_broken": 7,
        "pyfly_config_store_looks_total store=1": 1,
        "pyfly_config_store_looks_total store=2": 1,
        "pyfly_config_store_look_errors_total store=1": 0,
        "pyfly_config_store_look_errors_total store=2": 1,
        "pyfly_config_store_last_look_timestamp_seconds store=1": 1_700_000_000.25,
        "pyfly_config_store_last_look_timestamp_seconds store=2": 0,
        "pyfly_config_watchers": 6,
        "pyfly_config_watchers_rejected_total": 5,
        "pyfly_config_watcher_wake_seconds_count": 1,
        "pyfly_config_watcher_wake_seconds_sum": 0.02,
        "pyfly_config_workers": 1,
        "pyfly_config_worker_restarts_total": 8,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_page_holds_every_metric_and_no_other() -> None:
    names = {name.partition(" ")[0] for name in samples(page(busy()))}
    assert names == {series for metric in METRICS for series in metric.series}


def test_labels_are_those_of_the_table() -> None:
    for family in text_string_to_metric_families(page(busy())):
        (metric,) = [one for one in METRICS if one.name == family.name]
        for sample in family.samples:
            assert {*sample.labels} - {"le"} == {*metric.labels}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions_of_prometheus(metric: MetricDescription) -> None:
    assert re.fullmatch(r"pyfly_config_[a-z_]+[a-z]", metric.name)
    assert not metric.name.endswith("_total")
    if metric.kind == "histogram":
        assert metric.name.endswith("_seconds")


def test_a_new_server_has_no_series_with_labels_but_outcomes() -> None:
    with_labels = {name for name in samples(page(Counters())) if "=" in name and "le=" not in name}
    assert with_labels == {
        f"pyfly_config_answers_total outcome={outcome}" for outcome in ("hit", "miss", "stale")
    }


def test_a_store_at_which_nobody_has_looked_since_a_reload_has_no_time() -> None:
    counters = busy()
    counters.forget_looks()
    assert "last_look_timestamp_seconds{" not in page(counters)


@pytest.mark.parametrize(
    ("accept", "media_type", "end"),
    [
        ("", "text/plain", ""),
        ("*/*", "text/plain", ""),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "openmetrics", "# EOF\n"),
    ],
)
def test_the_client_chooses_the_format(accept: str, media_type: str, end: str) -> None:
    rendered = make_renderer(busy).render(accept=accept, accept_encoding="")
    headers = dict(rendered.headers)
    assert media_type in headers["content-type"]
    assert rendered.body.decode().endswith(end)
    assert ("# EOF" in rendered.body.decode()) is bool(end)


def test_the_client_may_ask_for_gzip() -> None:
    rendered = make_renderer(busy).render(accept="", accept_encoding="gzip")
    assert dict(rendered.headers)["content-encoding"] == "gzip"
    assert b"pyfly_config_watchers 6.0" in gzip.decompress(rendered.body)


def test_an_application_registers_the_collector_beside_its_own_metrics() -> None:
    registry = CollectorRegistry()
    calls: list[int] = []

    def source() -> Counters:
        calls.append(1)
        return busy()

    registry.register(CountersCollector(source))
    assert calls == []
    assert b"pyfly_config_watchers 6.0" in generate_latest(registry)
    assert calls == [1]


def test_buckets_reach_from_a_tenth_of_a_millisecond_to_ten_seconds() -> None:
    assert [*LATENCY_BOUNDS] == sorted(LATENCY_BOUNDS)
    assert (LATENCY_BOUNDS[0], LATENCY_BOUNDS[-1]) == (0.0001, 10.0)


def test_without_the_library_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "pyfly.config_server.live.metrics", raising=False)
    with pytest.raises(MetricsNotInstalledError, match=r"pip install 'pyfly-config-core\[metrics"):
        make_renderer(Counters)


def test_the_library_is_imported_with_the_first_renderer() -> None:
    code = (
        "import sys, pyfly.config_server.live.exposition as one, pyfly.config_server\n"
        "assert 'prometheus_client' not in sys.modules\n"
        "from pyfly.config_server.live.counters import Counters\n"
        "one.make_renderer(Counters)\n"
        "assert 'prometheus_client' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def table() -> str:
    """Return the table of all metrics, in Markdown."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for one in METRICS:
        name = one.name if one.kind == "histogram" else one.series[0]
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{name}` | {one.kind} | {labels}{' ' if labels else ''}| {one.help} |")
    return "\n".join(lines)


def test_the_table_in_the_documentation_is_that_of_the_code() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
    assert f"\n\n{table()}\n\n" in page.read_text(encoding="utf-8"), table()
