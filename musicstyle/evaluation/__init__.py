"""What a checkpoint is worth: likelihood, similarity, melody, style. Every metric's module is its specification."""
