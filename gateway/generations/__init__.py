"""The core: generations, how they are submitted, followed and watched. Knows no transport and no database."""
