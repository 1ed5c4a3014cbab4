"""The SMTP protocol as bytes in and events out: no socket, clock, policy or file in here (RFC 5321)."""
