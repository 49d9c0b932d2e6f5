"""Video files: decoded frames with their time stamps, luma planes and sound."""
