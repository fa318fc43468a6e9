"""Second factors: codes of an app, recovery codes, and what passkeys are checked by."""
