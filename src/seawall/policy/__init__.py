"""smtpd_check(3): may this client do this?  Restriction lists, access tables, and the one port to the world they ask through."""
