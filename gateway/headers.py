"""What headers of HTTP say about time. Whatever they hold, nothing is raised."""

import math
from email.utils import parsedate_to_datetime


def moment(date: str) -> float | None:
    """The time in a Date header; None where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def retry_after(value: str | None, wall: float) -> float | None:
    """Seconds from `wall` on that a Retry-After header asks for, in either form; None where it is none."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        then = moment(value)
        if then is None:
            return None
        seconds = then - wall
    return None if math.isnan(seconds) else max(seconds, 0.0)
