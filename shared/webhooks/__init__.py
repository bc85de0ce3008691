"""Other systems of a town are told what happens: signed, at least once, to public addresses alone, and again on demand.

Standard Webhooks (https://www.standardwebhooks.com). `docs/decisions/0031-webhooks.md` says why it is as it is.
"""
