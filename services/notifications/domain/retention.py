"""How long what is settled is kept (保存期間): the README says it of every table, `commands/tidying.py` does it."""

from datetime import timedelta

from services.notifications.domain.proofs import ASKINGS_KEPT

# Who was told what, by which way: as long as a town keeps what was given where its pack says nothing else. Done tasks,
# what was told, and appointments go with their notices; what was read of somebody for them stays in the ledger.
NOTICES_KEPT = timedelta(days=365)
# By the provider's own name for a message receipts find it; none comes so late.
REFS_KEPT = timedelta(days=30)
# Beyond their quarter of an hour: as long as it counts how many were sent.
CODES_KEPT = ASKINGS_KEPT
