"""Figures of this service. Labels are kinds, channels, outcomes and reasons, never ids."""

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS = Counter("choudo_notice_attempts_total", "Attempts at sending a notice", ["channel", "kind", "outcome"])
DISPATCH_SECONDS = Histogram(
    "choudo_notice_dispatch_seconds",
    "From a notice's making to the first call of its provider",
    ["kind"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 600),
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
