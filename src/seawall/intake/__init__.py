"""cleanup(8): what a client hands over becomes ours, complete, rewritten and addressed, before it is put to rest."""
