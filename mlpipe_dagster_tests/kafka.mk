# The suites that speak to Kafka, against an Apache Kafka that is started for them; says so where Java or Maven is missing.
# Of the mixtures of ours and theirs it takes the one with foreign processes and the one in which ours explains their
# model: the others differ in the roles alone. Pages look the same whatever the broker, and `dagster dev` is tried with
# one of its own.
# Of defs/ those that depend on the broker; the others are about Dagster's processes.
KAFKA_SUITES := messaging end_to_end $(addprefix defs/test_,delivery.py flow.py lag_tools.py dead_letters.py review.py)
KAFKA_CASES := (not test_mixtures or processes or theirs[automl]) and not test_browser and not test_dagster_dev
.PHONY: test-kafka
test-kafka: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.tools.apache_kafka.run -- $(BIN)/python -m pytest \
		$(addprefix mlpipe_dagster_tests/,$(KAFKA_SUITES)) -k "$(KAFKA_CASES)" $(ARGS)

# All sixteen mixtures of ours and theirs, on Apache Kafka: four minutes on two cores.
.PHONY: test-mixtures
test-mixtures: KAFKA_SUITES := end_to_end/test_mixtures.py
test-mixtures: KAFKA_CASES := test_mixtures
test-mixtures: test-kafka

# What is killed at a line, then the fault suite: the long form takes about ten minutes for each broker; ARGS=--short, ARGS="--seeds 1,2,3".
.PHONY: test-faults
test-faults: .venv/.development
	$(BIN)/python -m pytest -m faults mlpipe_dagster_tests/defs mlpipe_dagster_tests/end_to_end
	$(BIN)/python -m mlpipe_dagster_tests.faults.run $(ARGS)
