"""Every foreign call, typed."""
