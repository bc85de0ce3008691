"""Figures of this service. No labels: a town's own figures are on its pages."""

from prometheus_client import Counter, Gauge

OLDEST_INQUIRY_SECONDS = Gauge(
    "choudo_oldest_unanswered_inquiry_seconds", "Age of the inquiry that has waited longest for an answer, of all towns"
)
# What was searched for is not counted: it may say something about somebody.
SEARCHES = Counter("choudo_searches", "Searches for a procedure by words, of all towns")
SEARCHES_WITHOUT_RESULT = Counter("choudo_searches_without_result", "Those of them that found nothing, of all towns")
