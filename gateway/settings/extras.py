"""What a command says if a library of an extra of the package is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.settings.config import PREFIX, SettingError


def missing(extra: str) -> str:
    """Return the text of the error that an extra is not installed, with the command that installs it."""
    return (
        f"needs the extra {extra}, which is not installed. In a clone of the gateway, run "
        f".venv/bin/pip install -e '.[{extra}]'"
    )


def lacks(error: ModuleNotFoundError, *libraries: str) -> bool:
    """Return whether an import failed because one of the libraries is not installed."""
    return (error.name or "").partition(".")[0] in libraries


@contextmanager
def needed_by(setting: str, extra: str, *libraries: str) -> Iterator[None]:
    """Raise SettingError if an import fails because one of the libraries is not installed.

    `setting` is the name, without HFGATEWAY_, of the setting that needs the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if not lacks(error, *libraries):
            raise
        raise SettingError(PREFIX + setting, missing(extra)) from error
