"""The inside of the codec: what a type consists of, and what is made of it (checks, canonical order, JSON, schemas)."""
