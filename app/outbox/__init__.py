"""The process that tells other programs what happened, and that tidies up by the clock."""
