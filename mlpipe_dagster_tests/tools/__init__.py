"""Programs the tests need and cannot install from the Python index."""
