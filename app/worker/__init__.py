"""Background jobs: the table of jobs, and the worker that runs them."""
