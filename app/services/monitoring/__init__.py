"""Health, metrics and gauges."""
