"""JSON and other tongues, by who speaks them."""
