"""Figures and self-contained pages: one HTML file with everything inline, readable without a network."""
