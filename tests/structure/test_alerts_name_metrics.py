"""The alerts watch metrics that exist: a rule about a name that was changed would be silent for ever."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import services.notifications.metrics
import services.routing.metrics
import shared.telemetry
import shared.webhooks.measuring
from shared.messaging.dead_letters import SEALED_KEPT

MODULES = (
    shared.webhooks.measuring,
    services.notifications.metrics,
    services.routing.metrics,
    shared.telemetry,
)  # by importing them, their metrics are in the registry
_NAME = re.compile(r"\bchoudo_\w+")
# What a family of each type is called where it is read.
_ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.fixture
def rules(root_dir: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((root_dir / "deploy" / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_metric_that_an_alert_names_exists(rules: list[dict[str, Any]]) -> None:
    known = {family.name + ending for family in REGISTRY.collect() for ending in _ENDINGS.get(family.type, ())}
    named = {name for rule in rules for name in _NAME.findall(rule["expr"])}
    assert named == {
        "choudo_oldest_unacknowledged_seconds",
        "choudo_dead_letters",
        "choudo_messages_refused_total",
        "choudo_ledger_contradictions_total",
        "choudo_oldest_unanswered_inquiry_seconds",
        "choudo_webhooks_stopped",
        "choudo_provider_away",
        "choudo_oldest_due_notice_seconds",
    }
    assert named <= known


def test_every_alert_says_what_to_do(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["annotations"]["description"], rule["alert"]
    assert f"after {SEALED_KEPT.days} days" in str(rules)
