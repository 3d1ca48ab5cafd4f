"""`python run_all.py FILE...`: run programs one after the other, and tell as JSON lines what each printed.

One process for all of them: that Python starts is not what is tested.
"""

import contextlib
import io
import json
import runpy
import sys
import traceback


def main() -> None:
    """A line for each: its name, what it printed, and the error that ended it, if one did."""
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
