"""Geometry of what templates draw as SVG."""
