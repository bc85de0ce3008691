"""Figures of this service. No labels: a town's own figures are on its pages."""

from prometheus_client import Gauge

WEBHOOKS_STOPPED = Gauge(
    "choudo_webhooks_stopped",
    "Systems of all towns that are told nothing any more: they took nothing for a day, or said that they are gone",
)
