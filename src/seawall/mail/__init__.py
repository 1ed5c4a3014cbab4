"""Values of the mail journey, without any I/O: address, envelope, content, reply, outcome, queue id, network."""
