"""Protection against hostile input: SSRF guard, redaction of secrets, encryption of secrets at rest."""
