"""What is measured on images with a known truth, and how."""
