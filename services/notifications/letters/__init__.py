"""Letters (手紙) on paper: what is written in one, and how it is set and drawn."""
