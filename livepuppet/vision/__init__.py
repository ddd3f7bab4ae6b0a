"""What looks at images: face landmarks, portraits, segmentation, smoothing of motion, typefaces."""
