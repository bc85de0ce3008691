"""PostgreSQL is the truth, the queue is only a wake-up.

The way of an event: a command calls `Outbox.publish` in its own transaction → `relay` puts it on the consumer's
queue → `consumer` applies it once, in one transaction with its inbox row → `receipts` tell the publisher, which ends
republishing. What cannot be applied is a row of `dead_letter`, which an operator has replayed (`replay`) or discards
(`dead_letters`); `upkeep` forgets what is settled. Each message carries a stamp (`stamps`): what its sender did not
stamp for its reader is not believed.
"""
