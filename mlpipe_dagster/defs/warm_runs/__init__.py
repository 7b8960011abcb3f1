"""Warm runs: a run is forked from a process that has imported everything, instead of starting Python anew.

`launcher.py` is what Dagster loads, `zygote.py` the process it forks from, `wire.py` what they say to each other.
"""
