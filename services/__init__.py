"""The three services. None imports another: they talk by events and by the pass that the resident carries."""
