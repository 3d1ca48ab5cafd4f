"""The browser of the tests: Chromium, preferably the build without windows, which takes 40 % of the processor time."""

import shutil

HEADLESS_CHROMIUM = "chromium-headless-shell"


def chromium() -> str | None:
    """Return the path of the browser; None if it is not installed."""
    return shutil.which(HEADLESS_CHROMIUM) or shutil.which("chromium")
