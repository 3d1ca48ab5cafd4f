"""Parses times in HTTP headers. A malformed header gives None, never an exception."""

import math
from datetime import UTC
from email.utils import parsedate_to_datetime


def parse_http_date(date: str) -> float | None:
    """Parse a Date header as Unix time in seconds; None if it is malformed. One that names no zone is in UTC."""
    try:
        read = parsedate_to_datetime(date)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def parse_retry_after(value: str | None, date: str, wall: float) -> float | None:
    """Parse a Retry-After header, a number or a date, as seconds from now; None if it is absent or malformed.

    `date` is the Date header of the response: it is now by the clock by which the server made the other date. Without
    it, now is `wall`.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        then = parse_http_date(value)
        if then is None:
            return None
        sent = parse_http_date(date)
        seconds = then - (wall if sent is None else sent)
    return None if math.isnan(seconds) else max(seconds, 0.0)
