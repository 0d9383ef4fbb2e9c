"""Days, as the people at the server's place count them."""

import datetime


def day_of(seconds: float) -> datetime.date:
    """The day of a moment, seconds since 1970, in the server's time zone."""
    return datetime.datetime.fromtimestamp(seconds).astimezone().date()


def bounds_of_day(day: datetime.date) -> tuple[float, float]:
    """When a day begins and the next one does, seconds since 1970."""
    begin = datetime.datetime.combine(day, datetime.time())
    return begin.astimezone().timestamp(), (begin + datetime.timedelta(days=1)).astimezone().timestamp()


def start_of_day(seconds: float) -> float:
    """When the day of a moment began, seconds since 1970."""
    return bounds_of_day(day_of(seconds))[0]
