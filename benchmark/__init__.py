"""The harness: tasks, presets, runs, records, tables and the command line."""
