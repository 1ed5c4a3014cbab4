"""Fakes that pass the same checks as the real thing."""
