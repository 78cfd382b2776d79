"""What the commands do: run, watch, compress, evaluate, export, deployed, shard."""
