"""Routing knows what: the catalogue, the choice of a channel, the person's own items, and who is signed in."""
