"""Metrics: what a server has done, as Prometheus reads it.

Several processes behind one socket add up where the folder that prometheus_client shares figures
through is set for them (PROMETHEUS_MULTIPROC_DIR); one process needs nothing.
"""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
BATCHES = (1, 2, 4, 8, 16)


class Metrics:
    """The figures of one server."""

    def __init__(self, *, bundle: str, backbone: str) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "stocktake_requests", "Requests answered.", ["path", "status"], registry=registry
        )
        self.photos = Counter(
            "stocktake_photos",
            "Photos answered: accept, review, or error.",
            ["outcome"],
            registry=registry,
        )
        self.counts = Counter(
            "stocktake_counts", "Photos by answered count.", ["count"], registry=registry
        )
        self.seconds = Histogram(
            "stocktake_request_seconds",
            "From a request's head to its answer.",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.batch = Histogram(
            "stocktake_batch_photos",
            "Photos in a batch of the model.",
            buckets=BATCHES,
            registry=registry,
        )
        self.inside = Gauge(
            "stocktake_photos_inside",
            "Photos waiting or being answered.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        about = Gauge(
            "stocktake_bundle",
            "The bundle that answers; always 1.",
            ["bundle", "backbone"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        about.labels(bundle=bundle, backbone=backbone).set(1)

    def text(self) -> bytes:
        """All figures in Prometheus' text format, of all processes where they are shared."""
        together = CollectorRegistry()
        try:
            MultiProcessCollector(together)
        except ValueError:  # no shared folder: this process alone
            together = self._registry
        return generate_latest(together)
