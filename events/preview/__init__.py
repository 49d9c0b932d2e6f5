"""Pictures of events beside the frames that caused them."""
