"""The sandbox's models with their input schemas and prices, and its motions, styles and presets, as data."""
