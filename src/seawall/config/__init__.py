"""postconf(5), postconf(1), master(5): main.cf and master.cf as Postfix reads them, every parameter said once."""
