"""Which image each channel means, what is revoked, and what may be deleted: one stream."""
