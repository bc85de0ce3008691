"""Decisions: what to tell, when, and when to try again. Pure functions over frozen Structs."""
