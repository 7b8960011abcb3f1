"""How the foreign workers get a table: the file as uploaded, read with pandas."""

import io

import pandas as pd

from mlpipe_dagster_tests.foreign.wire import Wire


def downloaded(wire: Wire, user_id: str, dataset_id: str) -> pd.DataFrame:
    """GET the dataset's file."""
    return pd.read_csv(io.BytesIO(wire.get(f"/datasets/{user_id}/{dataset_id}/download").content))
