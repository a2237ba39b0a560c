"""The main job, watched: real machines replaced under traffic without a failed request."""
