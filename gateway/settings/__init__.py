"""The settings: their names, defaults and values, and the libraries that some of them need."""
