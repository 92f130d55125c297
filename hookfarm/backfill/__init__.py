"""Past events for one endpoint, through a separate queue beside the live events.

Blocks are read and proven as in the ingestor, and matched as in the processor.

    plan       the checked request
    chain_view the published part of the chain, and the part that a reorg may replace
    selection  blocks -> jobs
    job_queue  the backfill queue and the lock of an ordered endpoint
    state      the stored state of backfills
    run        the loop
"""
