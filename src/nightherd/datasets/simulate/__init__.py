"""Renders thermal flights whose truth is known."""
