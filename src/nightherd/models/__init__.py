"""The bundled models, each with its card."""
