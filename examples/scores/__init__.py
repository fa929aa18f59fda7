"""Three scores in the public domain, written down as text, and the reader of that text."""
