"""What Higgsfield offers: models with the schemas of their parameters, motions, styles, presets; kept and refreshed."""
