"""Whether prompts find in the cache what they could, and what keeps them from it. Pure: the events bring the time."""
