"""Video files: decoded frames with true time stamps, luma planes and sound."""
