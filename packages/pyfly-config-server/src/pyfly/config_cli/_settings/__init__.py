"""The settings of the server: one model, where its values come from, and its documentation."""
