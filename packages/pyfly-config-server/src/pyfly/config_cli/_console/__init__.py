"""What a person or a program sees: results, remarks, tables, progress."""
