"""The records, a file per stage of the journey."""
