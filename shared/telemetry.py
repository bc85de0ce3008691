"""Prometheus metrics that all services share. Labels are service names, codes and outcomes, never ids.

They are read on a listener of their own, of web processes and workers alike: what the public reaches has no such page.
"""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

DELIVERIES_PUBLISHED = Counter("choudo_deliveries_published_total", "Deliveries put on a queue", ["service"])
EVENTS_CONSUMED = Counter("choudo_events_consumed_total", "Events taken from a queue", ["service", "outcome"])
MESSAGES_REFUSED = Counter(
    "choudo_messages_refused_total",
    "Messages on our queues that no service of ours stamped for us",
    ["service", "kind"],
)
PICKUP_SECONDS = Histogram(
    "choudo_event_pickup_seconds",
    "From an event's occurrence to its consumer's start",
    ["service"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)
OLDEST_UNACKNOWLEDGED_SECONDS = Gauge(
    "choudo_oldest_unacknowledged_seconds", "Age of the oldest delivery without a receipt", ["service"]
)
DEAD_LETTERS = Gauge(
    "choudo_dead_letters", "Events that a service could not apply, waiting for an operator", ["service"]
)
LEDGER_CONTRADICTIONS = Counter(
    "choudo_ledger_contradictions_total",
    "Checkpoints not made because the ledger no longer says what a former one said",
    ["service"],
)
REQUEST_SECONDS = Histogram(
    "choudo_request_seconds",
    "Server time of a request",
    ["service", "method", "route", "status"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


def serve_metrics(address: str | None) -> None:
    """Answer a scraper on `host:port` (`CHOUDO_METRICS_ADDRESS`), in a thread of its own; without one, nobody is told.

    Raises:
        ValueError: it is no address; OSError: it is taken.
    """
    if address:
        host, _, port = address.rpartition(":")
        start_http_server(int(port), addr=host.strip("[]") or "127.0.0.1")
