"""What the tests share: the real processes on free ports, and ways to look at them."""
