"""Evaluation: a model and a dataset to a table."""
