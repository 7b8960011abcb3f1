"""Tests of automl."""
