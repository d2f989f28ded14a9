"""From names to an environment: lookups, activation, reading, and what is made of it."""
