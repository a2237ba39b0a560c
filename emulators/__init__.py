"""Stand-ins for clouds, for tests and benches: programs on loopback, never shipped."""
