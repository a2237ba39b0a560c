"""The main job, watched: real servers replaced under traffic without a failed request."""
