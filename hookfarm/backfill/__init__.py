"""History for one endpoint: a chain's blocks, read and proven as the ingestor does it, matched as the processor
does it, into a lane of their own beside the live events.

    plan       what is asked for, checked
    source     the chain's nodes, one at a time
    chain_view what the ingestor says of the chain: how far it is, what may still change
    memory     unfinal blocks that the ingestor never published are made known to it
    selection  blocks -> the jobs that they become
    run        the loop
"""
