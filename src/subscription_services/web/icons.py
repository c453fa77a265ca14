"""Icons, drawn on a grid of 24 with strokes, and the states of a promise with their text, tone and icon."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


def _path(data: str) -> Markup:
    return Markup(f'<path d="{data}"/>')  # noqa: S704  constants of this file only


ICONS: dict[str, Markup] = {
    "check": _path("M5 12.5l4.500 4.500L19 7.500"),
    "cross": _path("M7 7l10 10M17 7L7 17"),
    "info": _path("M12 11v6M12 7.250v.01M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18"),
    "warning": _path("M12 4L2.800 19.500h18.400zM12 10v4.500M12 17v.01"),
    "clock": _path("M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7.500V12l3 2"),
    "question": _path(
        "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M9.700 9.700a2.400 2.400 0 1 1 3.300 2.200q-1 .5-1 1.700M12 16.600v.01"
    ),
    "hammer": _path("M13 8L5 16.500L7.500 19L16 11M11 6l4-2.500L20.500 9L18 13z"),
    "down": _path("M7 10l5 5l5-5"),
    "left": _path("M14.500 6l-6 6l6 6"),
    "right": _path("M9.500 6l6 6l-6 6"),
    "leave": _path("M14 4.500H6v15h8M11 12h9.500M17 8.500l3.500 3.500l-3.500 3.500"),
    "beaker": _path("M9.500 3.500h5M10.500 3.500V10L5 20h14l-5.500-10V3.500M7.800 15h8.400"),
    "box": _path("M4 8l8-4l8 4v8.500l-8 4l-8-4zM4 8l8 4l8-4M12 12v8.500"),
    "home": _path("M4 11l8-7l8 7v9h-5.500v-6h-5v6H4z"),
    "card": _path("M3 6h18v12.500H3zM3 10h18M6.500 15h3.500"),
    "receipt": _path("M6 3.500h12v17l-3-2l-3 2l-3-2l-3 2zM9 8.500h6M9 12.500h6"),
    "repeat": _path("M4.500 11V9a3 3 0 0 1 3-3H19M16 3l3 3l-3 3M19.500 13v2a3 3 0 0 1-3 3H5M8 21l-3-3l3-3"),
    "shield": _path(
        "M12 3l7.500 2.500V11c0 5-3 8.500-7.500 10c-4.500-1.500-7.500-5-7.500-10V5.500z"
        "M8.800 11.800l2.300 2.300l4.200-4.300"
    ),
    "device": _path("M4.500 5h15v10.500h-15zM2.500 19h19"),
    "list": _path("M9 6.500h11M9 12h11M9 17.500h11M4.500 6.500v.01M4.500 12v.01M4.500 17.500v.01"),
    "person": _path(
        "M12 4a3.800 3.800 0 1 0 0 7.600a3.800 3.800 0 1 0 0-7.600M4.500 20.500c.7-4 3.500-6 7.500-6s6.800 2 7.500 6"
    ),
    "people": _path(
        "M9 5a3.200 3.200 0 1 0 0 6.400a3.200 3.200 0 1 0 0-6.400M2.500 19.500c.6-3.500 3-5.200 6.500-5.200"
        "s5.900 1.700 6.500 5.200"
        "M15.500 5.300a3.200 3.200 0 0 1 0 5.900M18 14.700c2 .8 3.200 2.400 3.600 4.800"
    ),
    "mail": _path("M3 5.500h18v13H3zM3.500 6.500L12 13l8.500-6.500"),
    "key": _path("M8 11a4.500 4.500 0 1 0 0 9a4.500 4.500 0 1 0 0-9M11.200 12.300L20 3.500M16 7.500l3 3"),
    "lock": _path("M5 11h14v9.500H5zM8 11V7.500a4 4 0 0 1 8 0V11"),
    "search": _path("M10.500 4a6.500 6.500 0 1 0 0 13a6.500 6.500 0 1 0 0-13M15.300 15.300L20.500 20.500"),
    "download": _path("M12 4v11M7.500 11l4.500 4.500l4.500-4.500M4.500 20h15"),
    "plus": _path("M12 5v14M5 12h14"),
    "dot": _path("M12 11a1 1 0 1 0 0 2a1 1 0 1 0 0-2"),
}


@dataclass(frozen=True, slots=True)
class State:
    """How one state looks: never by colour alone."""

    text: str
    tone: str
    icon: str


STATES: dict[str, State] = {
    "kept": State("Kept", "success", "check"),
    "broken": State("Broken", "danger", "cross"),
    "stale": State("Stale", "danger", "clock"),
    "could_not_check": State("Could not check", "danger", "question"),
    "not_built": State("Not built yet", "danger", "hammer"),
    "active": State("Active", "success", "check"),
    "trialing": State("Trial", "accent", "clock"),
    "pending": State("Pending", "warning", "clock"),
    "past_due": State("Past due", "danger", "warning"),
    "paused": State("Paused", "neutral", "clock"),
    "ending": State("Ends soon", "warning", "clock"),
    "ended": State("Ended", "neutral", "dot"),
    "open": State("Open", "warning", "clock"),
    "paid": State("Paid", "success", "check"),
    "void": State("Void", "neutral", "cross"),
    "failed": State("Failed", "danger", "cross"),
    "queued": State("Queued", "neutral", "clock"),
    "sent": State("Sent", "success", "check"),
    "allowed": State("Allowed", "success", "check"),
    "refused": State("Refused", "danger", "cross"),
}
