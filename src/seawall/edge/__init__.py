"""smtpd(8): a client speaks SMTP; the session joins engine, policy and intake."""
