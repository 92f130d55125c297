"""How contracts declare their events: signatures and the ABI types in them. Pure."""
