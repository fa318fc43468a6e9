"""Reading the metrics of all processes, as Prometheus text or as numbers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.core.telemetry.metrics_directory import metrics_directory, remove_ended
from app.core.telemetry.metrics_files import all_files

Labels = tuple[tuple[str, str], ...]
Samples = dict[str, dict[Labels, float]]

_COUNTED = ("_total", "_bucket", "_count", "_sum")
_known: dict[Labels, Labels] = {}  # shared by all samples, to save memory


class _AllProcesses(Collector):
    """The library's multiprocess collector, which also reads values that are only in memory."""

    def __init__(self, shared: Path) -> None:
        self._shared = shared

    def collect(self) -> Iterable[Metric]:
        merged: Iterable[Metric] = MultiProcessCollector.merge(all_files(self._shared))
        return merged


def _registry() -> CollectorRegistry:
    shared = metrics_directory()
    if shared is None:
        return REGISTRY
    remove_ended(shared)
    registry = CollectorRegistry()
    registry.register(_AllProcesses(shared))
    return registry


def exposition() -> str:
    """The metrics of all processes in Prometheus' text format 0.0.4. Reads files: call it in a
    thread."""
    return generate_latest(_registry()).decode()


class MetricsSnapshot:
    """The metrics of all processes at one moment, or their increase between two.

    Args:
        samples: name → labels → value.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def of(self, name: str, **having: str) -> Iterator[tuple[dict[str, str], float]]:
        """The samples of that name with those labels."""
        for labels, value in self.samples.get(name, {}).items():
            if having.items() <= (named := dict(labels)).items():
                yield named, value

    def total(self, name: str, **having: str) -> float:
        """The sum of these samples; 0 without any."""
        return sum(value for _, value in self.of(name, **having))

    def buckets(self, name: str, **having: str) -> dict[float, float]:
        """A histogram summed over those labels: upper bound in seconds → cumulative count."""
        buckets: defaultdict[float, float] = defaultdict(float)
        for labels, value in self.of(f"{name}_bucket", **having):
            buckets[float(labels["le"])] += value
        return dict(buckets)

    def counters(self) -> "MetricsSnapshot":
        """A copy without the gauges, for `since`."""
        return MetricsSnapshot({n: s for n, s in self.samples.items() if n.endswith(_COUNTED)})

    def since(self, earlier: "MetricsSnapshot") -> "MetricsSnapshot":
        """The current gauges, and the increase of counters since `earlier`."""
        grown = {
            name: {labels: value - before.get(labels, 0) for labels, value in samples.items()}
            if name.endswith(_COUNTED) and (before := earlier.samples.get(name))
            else samples
            for name, samples in self.samples.items()
        }
        return MetricsSnapshot(grown)


def metrics_snapshot() -> MetricsSnapshot:
    """The metrics of all processes. Reads files: call it in a thread."""
    samples: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    for family in _registry().collect():
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            samples[sample.name][_known.setdefault(labels, labels)] = sample.value
    return MetricsSnapshot(samples)
