"""Characters: faces that are trained once, for money, and used in many generations (docs/characters.md)."""
