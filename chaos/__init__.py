"""A storm over a real gateway, with a recorded history, and a judge that reads it afterwards.

`python -m chaos run` starts a sandbox full of faults and a gateway that is killed again and again, lets clients with
unsteady connections submit, watch and cancel, and writes down whatever anybody asked and was told. `python -m chaos
check FILE` judges such a file by the invariants of `checker.py`, now or in a year. docs/chaos.md tells more.
"""
