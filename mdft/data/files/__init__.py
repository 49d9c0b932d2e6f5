"""Feature files in AVCA's and TCaF's layouts."""
