"""The live part of the overview as a stream of server-sent events."""
