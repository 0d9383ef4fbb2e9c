"""Metrics as Prometheus reads them."""

from collections.abc import Mapping

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

Labels = Mapping[str, str]


class Scrape:
    """The samples of one answer of `/metrics`, which Prometheus's own reader must understand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that have these labels; there must be one."""
        found = [each.value for each in self.samples if each.name == name and labels.items() <= each.labels.items()]
        assert found, f"{name} {labels} is not in\n{self.text}"
        return sum(found)

    def labels(self, name: str, label: str) -> set[str]:
        """All values of a label of a metric."""
        return {each.labels[label] for each in self.samples if each.name == name}

    @property
    def names(self) -> set[str]:
        """All names of samples."""
        return {sample.name for sample in self.samples}


def scrape(url: str) -> Scrape:
    """Asks a server."""
    answer = httpx.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return Scrape(answer.text)


def scrape_registry(registry: CollectorRegistry) -> Scrape:
    """What a server would answer."""
    return Scrape(generate_latest(registry).decode())
