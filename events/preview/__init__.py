"""Preview videos: events beside the frames that caused them."""
