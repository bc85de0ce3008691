"""Providers: which of them takes a message, and how each of them has done lately. Senders (`senders/`) only carry."""
