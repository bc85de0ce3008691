"""The once-only ledger: who reused which items, for what, by which law. Names of items, never values.

`Ledger.write` puts an entry into the transaction of the business write and publishes it for the resident's page;
`sealer` chains entries by hash afterwards, so that writers never wait for one another, and keeps the tree over them
(`tiles`, `merkle`); `checkpoints` publish its root every night; `proofs` show that an entry is in it; `verify` and
`export` check all of it, with the database or without.
"""
