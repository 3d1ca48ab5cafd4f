"""The entry point of the command line: `hfgateway`, or `python -m gateway`."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from typing import TextIO, cast

import click

from gateway.cli import cli
from gateway.cli.exit_codes import INTERRUPTED, OUTPUT_NOT_WRITTEN, UNRESOLVED, USAGE
from gateway.cli.output import OutputWriteError, StandardStream, echo, echo_error, flush, show

# gRPC's core writes lines in another format to stderr, mostly about connections of others that failed. gRPC reads the
# variable when it is imported, which is later. To see the lines, set it to ERROR or INFO.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def main() -> None:
    """Run a command and exit with its code; Ctrl-C exits with 130, as in a shell."""
    if os.getpid() == 1:  # of a container: it ignores signals without a handler, and `serve` sets one after its imports
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the process was started without it
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale without these characters must not end a command
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast("TextIO", StandardStream(err=False))  # click prints help
    try:
        code = _run()
    except Exception:  # a bug does not say what was done before it
        from traceback import format_exc

        for line in format_exc().splitlines():
            echo(line, err=True)
        code = UNRESOLVED
    if code == INTERRUPTED:
        # Skip the interpreter's clean-up: it could wait for gRPC work that Ctrl-C has interrupted.
        with suppress(OutputWriteError):
            flush()
        os._exit(code)
    sys.exit(code if isinstance(code, int) else 0)


def _run() -> object:
    """Run a command, and return its exit code. Its own errors are printed."""
    try:
        code = cli.main(prog_name="hfgateway", standalone_mode=False)
        flush()
        return code
    except OutputWriteError as lost:
        if not lost.closed:  # a reader that has left wants no more, as `head`
            echo_error(lost)
        return OUTPUT_NOT_WRITTEN
    except click.ClickException as error:
        show(error)
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except PermissionError as error:  # of a folder that may not be entered: Path.exists() raises it
        if error.filename is None:
            raise
        echo_error(f"{error.filename}: {error.strerror}")
        return USAGE
    except UnicodeEncodeError as error:
        # No message can hold the argument, so nothing was sent with it. The names of files may be any bytes.
        if not any(error.object in given for given in sys.argv[1:]):
            raise
        echo_error(f"{error.object} is not text in UTF-8")
        return USAGE


if __name__ == "__main__":
    main()
