"""The speaking brain: ears, a voice and a small dialogue, so that a rehearsal is a real spoken call."""
