"""Jobs, mails and transfers: work that is done after the answer."""
