"""What one answer looks like and which faults it plays: read, and chosen by rules."""
