"""The fault suite: many datasets through the real platform while its processes are killed and frozen at random moments.

`run.py` is the command. It judges from outside only: Kafka's records, the REST API, Dagster's GraphQL, /proc.
"""
