"""Figures of this service. Labels are kinds, channels, outcomes, reasons, names of providers and lanes, never ids."""

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
STAFF_TASKS_OPEN = Gauge(
    "choudo_staff_tasks_open", "Notices that staff are still to tell somebody, of all towns, by why", ["reason"]
)
STAFF_TASK_OLDEST_SECONDS = Gauge(
    "choudo_staff_task_oldest_seconds", "How long the task has waited that has waited longest, of all towns"
)
PEOPLE_UNREACHED = Gauge(
    "choudo_people_unreached", "People whom no notice reached and staff have not yet, of all towns"
)
