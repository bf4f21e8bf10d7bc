"""Labelled data sets: read, write, inspect, split, fetch, simulate."""
