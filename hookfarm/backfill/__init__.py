"""Past events for one endpoint, through a queue of their own beside the live events.

A chain's blocks are read and proven as the ingestor does it, and matched as the processor does it.

    plan       the request, checked
    chain_view what the ingestor has published of the chain, and what a reorg may still replace
    selection  blocks -> the jobs that they become
    job_queue  the backfill queue and the lock of an ordered endpoint
    state      the stored state of backfills
    run        the loop
"""
