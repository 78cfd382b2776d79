"""What commands do beside grids: compress, evaluate, shard, memory."""
