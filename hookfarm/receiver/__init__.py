"""A sample receiver of webhooks: verifies signatures by the specification alone, and answers fast.

It shares no code with the sender, so that what it verifies is what anybody's receiver would.
"""
