"""What the API answers, as models: JSON, the OpenAPI document and the page's types come from their fields."""
