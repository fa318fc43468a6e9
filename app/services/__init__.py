"""Rules of the application. A service owns its transaction and commits it."""
