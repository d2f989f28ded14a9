"""What a program gets: properties, where they come from, and what they are made into."""
