"""From an event on Kafka to a running step and to the next event: mlpipe, Dagster's defaults, and plain consumers."""
