"""Tests of the supervisor and of what it is told to start; processes here are real."""
