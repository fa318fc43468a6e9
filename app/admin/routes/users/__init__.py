"""Routes of the pages about users."""
