"""The pages that read the books: `tollbook dashboard`.

app.py     the page, in each of its states
books.py   asks the gateway for its calls
words.py   money and numbers as people read them

Nothing is loaded from another host. Streamlit reads its settings from .streamlit/config.toml beside app.py.
"""
