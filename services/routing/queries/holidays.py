"""The national holidays (国民の祝日)."""

from datetime import date

import jpholiday


def list_holidays(first: date, last: date) -> frozenset[date]:
    """Those from first to last, both included."""
    return frozenset(day for day, _name in jpholiday.between(first, last))
