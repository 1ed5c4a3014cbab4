"""trivial-rewrite(8): address classes, transports and next hops."""
