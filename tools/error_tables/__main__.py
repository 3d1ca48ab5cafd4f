"""Writes the error classes of all clients. With --check, the exit code is 1 if a file is out of date."""

import sys

from tools.error_tables.languages import LANGUAGES, update

if __name__ == "__main__":
    check = "--check" in sys.argv[1:]
    results = [update(name, check=check) for name in LANGUAGES]
    sys.exit(not all(results))
