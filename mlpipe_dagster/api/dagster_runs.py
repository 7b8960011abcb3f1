"""Asks Dagster's webserver to stop runs at once; where it cannot be reached, the sweep sensor does so moments later."""

import logging
from collections.abc import Sequence

import requests

log = logging.getLogger(__name__)
ANSWER_SECONDS = 3.0
TERMINATE = """mutation($runs: [String!]!) { terminateRuns(runIds: $runs, terminatePolicy: SAFE_TERMINATE) {
    __typename } }"""


def terminate(dagster_base: str, run_ids: Sequence[str]) -> None:
    """Stop the runs; a webserver that does not answer is logged, not raised."""
    if not run_ids:
        return
    query = {"query": TERMINATE, "variables": {"runs": list(run_ids)}}
    try:
        requests.post(f"{dagster_base}/graphql", json=query, timeout=ANSWER_SECONDS).raise_for_status()
    except requests.RequestException as error:
        log.warning("the sweep will stop the runs %s: %s", ", ".join(run_ids), error)
