"""What a checkpoint is worth: likelihood, melody, style, interpolation, memorisation, similarity.

The docstring of a metric's module is its specification.
"""
