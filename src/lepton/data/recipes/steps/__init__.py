"""The cleaning steps, by what they treat."""
