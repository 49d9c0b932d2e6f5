"""Several processes that train one model, and the device of each."""
