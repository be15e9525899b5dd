"""Our language: requests, items, events and responses of the Responses API (https://platform.openai.com/docs/api-reference/responses)."""
