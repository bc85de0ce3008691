"""What the three services have in common: published events, messaging, the ledger, web chrome, database, crypto."""
