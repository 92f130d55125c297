"""Delivery processes: delivery_queue -> endpoint, each with many POSTs in flight."""
