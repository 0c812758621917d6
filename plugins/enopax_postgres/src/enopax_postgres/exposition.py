"""Measures of every database for Prometheus, with the resource's id as a label."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from enopax_core.provider import Metric as Measured

PREFIX = "enopax_postgres_"
"""Before names that are not postgres_exporter's."""


class Exposition(Collector):
    """Shows what was measured last: a scrape never waits for a database."""

    def __init__(self, spares: Callable[[], int]) -> None:
        """`spares` counts the servers that belong to no database."""
        self._spares = spares
        self._measured: dict[str, Mapping[str, Measured]] = {}
        self._lock = threading.Lock()

    def put(self, resource: str, measured: Mapping[str, Measured]) -> None:
        """A database was measured."""
        with self._lock:
            self._measured[resource] = measured

    def keep(self, resources: Iterable[str]) -> None:
        """Forget all but these."""
        with self._lock:
            self._measured = {id: found for id, found in self._measured.items() if id in set(resources)}

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        with self._lock:
            measured = dict(self._measured)
        spares = PREFIX + "spares"
        families = {spares: GaugeMetricFamily(spares, "Servers that run for the next databases.", value=self._spares())}
        for resource, found in measured.items():
            for name, metric in found.items():
                shown = name if name.startswith("pg_") else PREFIX + name
                if shown not in families:
                    families[shown] = GaugeMetricFamily(shown, metric.help, labels=["resource"])
                families[shown].add_metric([resource], metric.value)
        return families.values()
