"""Telemetry: metrics, timings and traces."""

from app.core.telemetry.request_counters import request_counter, route_template
from app.core.telemetry.timing import Timing, current_timing

__all__ = ["Timing", "current_timing", "request_counter", "route_template"]
