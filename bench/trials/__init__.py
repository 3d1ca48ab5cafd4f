"""Trials behind decisions 0042 and 0043: PostgreSQL with our own leases, and its driver.

`python -m bench.trials [name ...]` needs Debian's `postgresql` and `pgbouncer`, and installs the libraries into a
separate virtual environment.
"""
