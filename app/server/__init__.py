"""Running uvicorn: options, limits on connections and requests, graceful shutdown, supervisor."""
