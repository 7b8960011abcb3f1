"""Benchmarks: each a script that anyone can run, that prints a table. None of them belongs to the tests."""
