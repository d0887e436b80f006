"""What a finished request was: its outcome, its tokens and what they cost."""
