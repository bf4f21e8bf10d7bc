"""The detectors: parts, presets, export. Needs the train extra (torch)."""
