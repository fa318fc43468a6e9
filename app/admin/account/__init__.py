"""Pages of one's own account, and those that links in mails lead to: `/account/…`."""
