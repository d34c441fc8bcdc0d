"""Having a model fill holes in texts, by way of the product's own prompts."""
