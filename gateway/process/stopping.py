"""The signals that stop a process in order."""

import asyncio
import signal
from collections.abc import Callable

HUNG_UP = 128 + signal.SIGHUP
"""The exit code after SIGHUP. It is not 0: systemd and containers start the gateway again if a hook has sent it."""


def on_stop_signals(stop: Callable[[], None], hang_up: Callable[[], None]) -> None:
    """Call `stop` at each SIGTERM and SIGINT, and `hang_up` at each SIGHUP unless that is ignored, as by nohup.

    A terminal that is closed can send SIGHUP several times: the kernel and the shell do.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
