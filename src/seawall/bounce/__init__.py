"""bounce(8), defer(8), trace(8): the sender is told."""
