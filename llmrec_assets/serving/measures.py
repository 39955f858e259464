"""What Prometheus is told. No label holds an id."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0, 5.0)


class ServiceMeasures:
    """The metrics of one service, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = mine = CollectorRegistry()
        self.requests = Counter(
            "llmrec_requests", "Requests answered.", ["route", "method", "status"], registry=mine
        )
        self.seconds = Histogram(
            "llmrec_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=mine
        )
        self.lists = Counter(
            "llmrec_lists", "Lists by where they came from.", ["source"], registry=mine
        )
        self.batches = Histogram(
            "llmrec_batch_size",
            "Lists ranked at once.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=mine,
        )
        self.waiting = Gauge("llmrec_lists_waiting", "Lists in the queue.", registry=mine)
        self.rankers_ended = Counter(
            "llmrec_rankers_ended",
            "Processes that rank that ended unasked; another takes their place.",
            registry=mine,
        )
        self.feedback = Counter(
            "llmrec_feedback", "Records by outcome.", ["outcome"], registry=mine
        )
        self.live_events = Gauge(
            "llmrec_live_events", "Events newer than the package.", registry=mine
        )
        self.takeovers = Counter(
            "llmrec_takeovers", "New packages by outcome.", ["outcome"], registry=mine
        )
        self.package = Gauge(
            "llmrec_package",
            "1 for the package that serves.",
            ["package", "model_version"],
            registry=mine,
        )
        self.generated = Gauge(
            "llmrec_package_generated_seconds",
            "When the package was made, Unix time.",
            registry=mine,
        )

    def batch(self, size: int) -> None:
        """A batch was ranked."""
        self.batches.observe(size)

    def ranker_ended(self) -> None:
        """The process that ranks ended unasked."""
        self.rankers_ended.inc()

    def serves(self, package: str, model_version: str, generated: float) -> None:
        """A package serves from now on."""
        self.package.clear()
        self.package.labels(package, model_version).set(1)
        self.generated.set(generated)
        self.takeovers.labels("done").inc()

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is its template."""
        self.requests.labels(route, method, status).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
