"""trivial-rewrite(8): the complete form of an address, whose mail it is, and which transport takes it where."""
