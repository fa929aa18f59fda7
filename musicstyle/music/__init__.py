"""Notes and files: MIDI <-> Notes <-> events <-> ids, and the melody. Never imports torch."""
