"""What the dashboard decides and computes, without a clock, a socket or a file."""
