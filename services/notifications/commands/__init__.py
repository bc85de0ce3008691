"""What can be done: one function, one use case, in the caller's transaction."""
