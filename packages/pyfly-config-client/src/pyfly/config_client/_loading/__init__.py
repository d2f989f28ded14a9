"""How a configuration is had: what to send and what to accept. No input, no output."""
