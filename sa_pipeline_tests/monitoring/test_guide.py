"""The operator's guide and the example configuration name the metrics that there are, and no others."""

import json
import re
from pathlib import Path

import dagster as dg
import pytest
import yaml
from prometheus_client import CollectorRegistry, Metric

from sa_pipeline.dataset import Dataset, save_config
from sa_pipeline.metrics_server import Readiness
from sa_pipeline.monitoring.exporter import RunCollector
from sa_pipeline.monitoring.watching import Watcher
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.metrics import StudioMetrics

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs" / "operate.md"
MONITORING = REPOSITORY / "deploy" / "monitoring"
OWN = "sa_pipeline_"


@pytest.fixture
def families(dataset: Dataset) -> dict[str, list[Metric]]:
    """What the studio's server and the exporter tell."""
    save_config(dataset)
    studio = open_studio(dataset)
    metrics = StudioMetrics()
    metrics.watch(studio, Readiness(dict))
    told = {"studio": list(metrics.registry.collect())}
    studio.close()
    with ensure_dagster_home(dataset) as instance:
        told["runs"] = runs_of(dataset, instance)
    return told


def runs_of(dataset: Dataset, instance: dg.DagsterInstance) -> list[Metric]:
    registry = CollectorRegistry()
    registry.register(RunCollector(dataset, instance, Watcher(dataset.home, instance, registry)))
    return list(registry.collect())


def name_of(metric: Metric) -> str:
    """As it is asked for, but for the endings of a histogram."""
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def table(families: list[Metric]) -> str:
    """The guide's table of metrics."""
    rows = [
        f"| `{name_of(metric)}` | {metric.type} | {metric.documentation.rstrip('.')} |"
        for metric in families
        if metric.name.startswith(OWN)
    ]
    return "\n".join(["| metric | kind | what |", "|---|---|---|", *sorted(rows)])


@pytest.mark.parametrize("part", ["studio", "runs"])
def test_the_guide_lists_every_metric(families: dict[str, list[Metric]], part: str) -> None:
    assert f"<!-- metrics: {part} -->\n{table(families[part])}\n" in GUIDE.read_text()


def test_alerts_and_dashboard_ask_only_for_metrics_that_there_are(families: dict[str, list[Metric]]) -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    asked = [rule["expr"] for rule in rules]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    # Names of scrape jobs begin as metrics do.
    names = {name for expr in asked for name in re.findall(rf"{OWN}\w+", re.sub(r'"[^"]*"', "", expr))}
    known = set()
    for metric in (*families["studio"], *families["runs"]):
        endings = ("_bucket", "_count", "_sum") if metric.type == "histogram" else ("",)
        known |= {name_of(metric) + ending for ending in endings}
    assert names <= known, names - known
    assert len(names) > 15


def test_prometheus_asks_the_ports_of_the_guide() -> None:
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    ports = {job["job_name"]: job["static_configs"][0]["targets"][0].split(":")[1] for job in jobs}
    assert f"--metrics-port {ports['sa_pipeline_studio']}" in GUIDE.read_text()
    assert f"metrics --home masks --port {ports['sa_pipeline_runs']}" in GUIDE.read_text()
