"""Metrics of detections against truth; arrays in, numbers out."""
