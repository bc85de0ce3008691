"""Figures of this service. Labels are kinds, channels, outcomes, and names of providers and lanes, never ids."""

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS = Counter("choudo_notice_attempts_total", "Attempts at sending a notice", ["channel", "kind", "outcome"])
DISPATCH_SECONDS = Histogram(
    "choudo_notice_dispatch_seconds",
    "From a notice's making to the first call of its provider",
    ["kind"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 600),
)
PROVIDER_AWAY = Gauge(
    "choudo_provider_away", "1 while this process leaves a provider alone that failed again and again", ["provider"]
)
OLDEST_DUE_NOTICE_SECONDS = Gauge(
    "choudo_oldest_due_notice_seconds", "For how long the turn has passed of the notice that waits longest", ["lane"]
)
