"""What tables, plots and the page show."""
