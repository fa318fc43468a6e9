"""How uvicorn is run: options, bounds on connections and requests, drain, supervisor."""
