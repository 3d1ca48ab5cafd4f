"""The official SDKs as published: their installation, and programs that submit generations with them."""
