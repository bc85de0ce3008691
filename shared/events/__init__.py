"""The published language: one file per publisher, and `subscriptions.py` says who hears what."""
