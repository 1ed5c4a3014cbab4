"""Questions to the domain name system, and the four kinds of answer."""
