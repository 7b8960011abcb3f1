"""Tests of xai."""
