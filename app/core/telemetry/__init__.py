"""What is measured: counted in `metrics`, read by `exposition` and `traffic`."""

from app.core.telemetry.requests import request_meter, route_template
from app.core.telemetry.timing import Timing, current_timing

__all__ = ["Timing", "current_timing", "request_meter", "route_template"]
