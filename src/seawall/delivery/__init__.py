"""local(8), virtual(8), smtp(8), lmtp(8), pipe(8), error(8): mail is handed on."""
