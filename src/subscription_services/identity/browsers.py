"""What a browser says of itself (RFC 9110, User-Agent), in words that its owner knows."""

from __future__ import annotations

from subscription_services.kernel.words import words

# more telling names first: nearly every browser also says that it is Chrome and Safari
_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Vivaldi", "Vivaldi"),
    ("FxiOS", "Firefox"), ("Firefox/", "Firefox"), ("CriOS", "Chrome"), ("HeadlessChrome", "Chrome"),
    ("Chromium", "Chromium"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS"), ("Windows", "Windows"),
    ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip
UNKNOWN = words("Unknown browser")


def browser_in_words(user_agent: str) -> str:
    """ "Firefox on Linux", or "Unknown browser"; never the text itself, which anybody can choose."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if not browser:
        return words("Unknown browser on %(system)s", system=system) if system else UNKNOWN
    return words("%(browser)s on %(system)s", browser=browser, system=system) if system else browser
