"""Figures of this service. No labels: a town's own figures are on its pages."""

from prometheus_client import Gauge

OLDEST_INQUIRY_SECONDS = Gauge(
    "choudo_oldest_unanswered_inquiry_seconds", "Age of the inquiry that has waited longest for an answer, of all towns"
)
