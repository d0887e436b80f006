"""How replicas of one plan share it."""
