"""Figures of this service. Labels are kinds, channels and outcomes, never ids."""

from prometheus_client import Counter, Histogram

ATTEMPTS = Counter("choudo_notice_attempts_total", "Attempts at sending a notice", ["channel", "kind", "outcome"])
DISPATCH_SECONDS = Histogram(
    "choudo_notice_dispatch_seconds",
    "From a notice's making to the first call of its provider",
    ["kind"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 600),
)
