"""master(8): the only place where the parts are joined."""
