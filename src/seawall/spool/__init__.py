"""qmgr(8), pickup(8), showq(8), flush(8): mail at rest, and whose turn it is."""
