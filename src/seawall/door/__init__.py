"""postscreen(8), dnsblog(8): a client that nobody knows is looked at before it gets a session."""
