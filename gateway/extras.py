"""What a command says if a library of an extra of the package is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.config import PREFIX, SettingError


@contextmanager
def needed_by(setting: str, extra: str, *libraries: str) -> Iterator[None]:
    """Raise SettingError if an import fails because one of the libraries is not installed.

    `setting` is the name, without HFGATEWAY_, of the setting that needs the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in libraries:
            raise
        why = f"needs a library that is not installed: pip install 'hfgateway[{extra}]'"
        raise SettingError(PREFIX + setting, why) from error
