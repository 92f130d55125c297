"""Parts of the reference that are made from the code; docs/generate.py fills them into the templates."""
