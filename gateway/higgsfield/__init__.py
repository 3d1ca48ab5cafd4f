"""The upstream adapter: Higgsfield's REST API as the core's `Upstream` port."""

import sys

# For a command line of its own httpx imports all of `rich` where that is installed, as it is for ours: a tenth of the
# time that a gateway takes to start. It goes on without it where that cannot be imported, as a module that is None.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
