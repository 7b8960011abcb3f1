"""Programs as others have written them for these topics and this API: an uploader, an agentic core and three workers.

They know the contracts of Kafka and REST and nothing of mlpipe; forward no headers; log their errors and go on. Each is
a module that runs as a process: `python -m mlpipe_dagster_tests.foreign.bias_detector`.
"""
