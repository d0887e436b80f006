"""What nobody should send, and what it may not harm."""
