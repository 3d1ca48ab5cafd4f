"""The upstream adapter: Higgsfield's REST API as the core's `Upstream` port."""

import sys

# httpx imports `rich` for its command line if it is installed, which takes a tenth of the gateway's start-up time. With
# None as the module the import fails, and httpx works without it.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
