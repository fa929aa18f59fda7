"""A folder of MIDI -> prepared notes on disk -> crops, augmentation, batches."""
