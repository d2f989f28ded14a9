"""A configuration server without a framework: stores, composition, HTTP semantics."""
