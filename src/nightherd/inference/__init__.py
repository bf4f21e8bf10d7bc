"""Runs a model file over frames, without torch."""
