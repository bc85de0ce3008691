"""Prometheus metrics that all services share. Labels are service names, codes and outcomes, never ids."""

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES_PUBLISHED = Counter("choudo_deliveries_published_total", "Deliveries put on a queue", ["service"])
EVENTS_CONSUMED = Counter("choudo_events_consumed_total", "Events taken from a queue", ["service", "outcome"])
PICKUP_SECONDS = Histogram(
    "choudo_event_pickup_seconds",
    "From an event's occurrence to its consumer's start",
    ["service"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)
OLDEST_UNACKNOWLEDGED_SECONDS = Gauge(
    "choudo_oldest_unacknowledged_seconds", "Age of the oldest delivery without a receipt", ["service"]
)
REQUEST_SECONDS = Histogram(
    "choudo_request_seconds",
    "Server time of a request",
    ["service", "method", "route", "status"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
