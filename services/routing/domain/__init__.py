"""Routing's decisions: pure functions over frozen structs."""
