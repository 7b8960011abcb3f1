# The suites that speak to Kafka, against an Apache Kafka that is started for them; says so where Java or Maven is missing.
.PHONY: test-kafka
test-kafka: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.tools.apache_kafka.run -- $(BIN)/python -m pytest \
		mlpipe_dagster_tests/messaging mlpipe_dagster_tests/defs mlpipe_dagster_tests/end_to_end $(ARGS)

# The fault suite: the long form takes about ten minutes for each broker; ARGS=--short, ARGS="--seeds 1,2,3".
.PHONY: test-faults
test-faults: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.faults.run $(ARGS)
