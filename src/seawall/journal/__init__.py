"""syslogd(8), postlogd(8): every fact is written once, as a typed record; log lines and the store are sinks."""
