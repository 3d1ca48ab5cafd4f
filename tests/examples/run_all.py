"""`python run_all.py FILE...`: run programs one after the other, and print the output of each as a JSON line.

All programs run in one process, because the start of Python is not under test.
"""

import contextlib
import io
import json
import runpy
import sys
import traceback


def main() -> None:
    """Print one line per program: its path, its output, and its error if it failed."""
    for path in sys.argv[1:]:
        printed, error = io.StringIO(), ""
        with contextlib.redirect_stdout(printed):
            try:
                runpy.run_path(path, run_name="__main__")
            except Exception:
                error = traceback.format_exc()
        print(json.dumps({"path": path, "lines": printed.getvalue().splitlines(), "error": error}), flush=True)


if __name__ == "__main__":
    main()
