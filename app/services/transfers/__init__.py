"""Imports and exports of users as background jobs."""
