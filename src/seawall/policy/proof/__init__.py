"""Can a stranger relay?  Every session that a stranger could lead, played before the judge itself.  `seawall relay-proof`"""
