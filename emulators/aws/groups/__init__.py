"""Auto Scaling, whole: moto's has no clock, no activities, and replaces nothing."""
