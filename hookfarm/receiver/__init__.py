"""A sample receiver of webhooks: verifies signatures by the specification alone, and answers fast.

It shares no code with the sender, so that it verifies what any receiver would.
"""
