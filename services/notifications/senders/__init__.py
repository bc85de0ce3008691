"""The ways out: one small Protocol, and one module for each kind of provider."""
