"""Every figure that the README quotes, and the peer beside it."""
