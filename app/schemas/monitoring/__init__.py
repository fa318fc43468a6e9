"""Schemas of health, metrics, statistics and the overview."""
