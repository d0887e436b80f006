"""What a request is and how it may be refused: its route, credentials and place, its errors and labels."""
