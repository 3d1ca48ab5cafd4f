"""The last module that the server process of `forked.py` imports.

It computes what each gateway would compute again: regular expressions and other caches. Then it exempts all objects
from garbage collection. Otherwise a collection in a forked process visits, and so copies, the memory that it shares
with its parent.
"""

import gc

from gateway.settings.config import read_settings
from gateway.store import statements
from gateway.web.page import page_routes

read_settings({"HF_KEY": "sandbox:sandbox"})
statements.described()
page_routes()
gc.collect()
gc.freeze()
