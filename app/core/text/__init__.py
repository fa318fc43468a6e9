"""Text: normalisation, encodings and escaping."""
