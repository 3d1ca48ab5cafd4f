"""Characters: faces that are trained once, for a charge, and used in many generations. See docs/characters.md."""
