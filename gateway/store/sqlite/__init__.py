"""The store on SQLite: one file, for one gateway at a time."""
