"""Dependencies of endpoints: the caller, services, rate limits, the request."""
