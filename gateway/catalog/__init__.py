"""Catalogs of what Higgsfield offers: models with their parameter schemas, motions, Soul styles and presets."""
