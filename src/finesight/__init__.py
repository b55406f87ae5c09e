"""Find images by the small things in them."""
