"""`make bench-automl`: our engines beside plain models, on the same rows within the same time."""
