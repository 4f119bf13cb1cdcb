"""The data that tables, pictures and the page show."""
