"""A scrape as Prometheus understands it: parsed with the client library's own parser."""

from collections.abc import Mapping

from fastapi.testclient import TestClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """The families of one answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.families: Mapping[str, Metric] = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    @property
    def names(self) -> set[str]:
        """Names of all families, with and without the endings of their samples."""
        return {sample.name for sample in self._samples} | set(self.families)

    def labels(self, name: str) -> set[str]:
        """Names of the labels that samples of that name have."""
        return {label for sample in self._samples if sample.name == name for label in sample.labels}

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample of that name with exactly these labels; None where there is none."""
        found = [sample.value for sample in self._samples if sample.name == name and sample.labels == labels]
        assert len(found) <= 1, f"{name} {labels} is there {len(found)} times"
        return found[0] if found else None

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """All samples of that name, by the values of their labels in the order of the labels' names."""
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for sample in self._samples
            if sample.name == name
        }


def scrape(client: TestClient) -> Scrape:
    """Ask for the metrics; the answer must be text in Prometheus' form."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return Scrape(answer.text)
