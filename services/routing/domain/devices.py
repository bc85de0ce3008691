"""A case that goes on at another device: how long its link and code open it, and how often a code is tried."""

from datetime import timedelta

# From making the link until it, and the device that opened it, are over.
DEVICE_LIFETIME = timedelta(days=7)
# Of 続きの番号: shorter than every other kind, so that none is taken for another. It opens nothing without the code.
DEVICE_NUMBER_LENGTH = 5
CODE_FAILURES_MAX = 5
# The outcome in the ledger of opening it there.
OTHER_DEVICE = "other_device"
