"""A sample receiver of webhooks, which verifies signatures by the specification and responds quickly.

It shares no code with the sender, so that its verification is independent.
"""
