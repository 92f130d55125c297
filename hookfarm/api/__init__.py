"""What people and orchestrators ask over HTTP."""
