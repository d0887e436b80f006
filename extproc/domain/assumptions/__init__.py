"""What the proxy takes for true of Z.AI, and what was seen of it. Pure: exchanges come in, judgements go out."""
