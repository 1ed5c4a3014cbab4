"""The server that stays: Seawall as the door alone, in front of Postfix, Exim or another.  smtpd_proxy(8), haproxy

`naming` tells it who the client is, `offers` what it offers, `places` shares its connections out, `link` is one of
them, `upstream` joins.  docs/in-front.md
"""
