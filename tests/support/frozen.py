"""The last module that the server process of `forked.py` imports.

It exempts all objects from garbage collection. Otherwise a collection in a forked process visits, and so copies, the
memory that it shares with its parent.
"""

import gc

gc.collect()
gc.freeze()
