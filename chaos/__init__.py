"""Storms: a real gateway under faults, kills and cut connections, and a checker for its recorded history.

`python -m chaos run` starts a sandbox with random faults and a gateway that is killed again and again. Clients submit,
watch and cancel over connections that are cut, and everything they request and receive is recorded. `python -m chaos
check FILE` checks such a history against the invariants of `harness/checker.py`. See docs/chaos.md.
"""
