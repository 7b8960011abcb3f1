"""Tests of bias."""
