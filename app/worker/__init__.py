"""Background jobs: the registry of jobs, and the worker that runs them."""
